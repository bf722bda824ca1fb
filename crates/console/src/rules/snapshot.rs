//! The states of alerts on disk, so that a restart neither resolves nor repeats them.
//!
//! Prometheus restores only the start of alerts with a long pending period, from series. The console writes
//! all states every 15 seconds. If it was down for at most an hour, it restores them as follows:
//! - Pending: the remaining pending period is the same as before. The downtime does not count.
//! - Firing: keeps firing. If the condition does not hold, it still fires for ten minutes, because windows
//!   that reach into the gap cannot show that the fault is over.
//! - Resolved: the Alertmanager is told until the retention ends.
//!
//! After a longer downtime all alerts start anew, and their last known states end in the history.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::history::{read, replace};
use super::machine::{Active, Phase};
use crate::store::metrics::Labels;

/// Maximum downtime after which states are restored, as in Prometheus.
const LONGEST_ABSENCE: i64 = 60 * 60 * 1000;

/// Grace period in which a restored alert fires without its condition.
const GRACE: i64 = 10 * 60 * 1000;

const FILE: &str = "alerts-state.json";

/// The states of all alerts at one time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// Time of the snapshot, in Unix milliseconds.
    pub(super) at: i64,
    pub(super) series: Vec<Saved>,
}

/// A series of an alert.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) alert: String,
    labels: BTreeMap<String, String>,
    state: String,
    active_at: i64,
    #[serde(default)]
    fired_at: i64,
    #[serde(default)]
    resolved_at: Option<i64>,
    #[serde(default)]
    keep_firing_since: Option<i64>,
    #[serde(default)]
    value: Option<f64>,
    #[serde(default)]
    sent_at: i64,
}

impl Saved {
    pub(super) fn new(alert: &str, labels: &Labels, active: &Active) -> Self {
        Self {
            alert: alert.to_owned(),
            labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            state: active.phase.as_str().to_owned(),
            active_at: active.active_at,
            fired_at: active.fired_at,
            resolved_at: active.resolved_at,
            keep_firing_since: active.keep_firing_since,
            value: active.value.is_finite().then_some(active.value),
            sent_at: active.sent_at,
        }
    }

    pub(super) fn labels(&self) -> Labels {
        let pairs = self.labels.iter();
        Labels::new(pairs.map(|(name, value)| (name.as_str().into(), value.as_str().into())))
    }

    /// Returns the state after the downtime; `None` if the file has an unknown one.
    pub(super) fn restored(&self, saved_at: i64, now: i64) -> Option<Active> {
        let phase = Phase::named(&self.state)?;
        let absence = now - saved_at;
        Some(Active {
            phase,
            active_at: if phase == Phase::Pending { self.active_at + absence } else { self.active_at },
            fired_at: self.fired_at,
            resolved_at: self.resolved_at,
            keep_firing_since: self.keep_firing_since.map(|since| since + absence),
            value: self.value.unwrap_or(f64::NAN),
            sent_at: self.sent_at,
            restored_until: (phase == Phase::Firing).then_some(now + GRACE),
        })
    }
}

impl Snapshot {
    /// Returns whether the states are too old to be restored.
    pub(super) fn is_outdated(&self, now: i64) -> bool {
        !(0..=LONGEST_ABSENCE).contains(&(now - self.at))
    }

    /// Reads the snapshot of a directory, if there is one.
    ///
    /// # Errors
    /// Returns a sentence if the file is damaged. It is set aside.
    pub(super) fn read(directory: &Path, now: i64) -> Result<Option<Self>, String> {
        let path = directory.join(FILE);
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("The states of alerts cannot be read: {error}.")),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let aside = path.with_extension(format!("damaged-{now}"));
            let moved = match std::fs::rename(&path, &aside) {
                Ok(()) => format!("The file was set aside as {}.", aside.display()),
                Err(error) => format!("The file could not be set aside: {error}."),
            };
            format!("The states of alerts cannot be restored: {error}. {moved}")
        })
    }

    /// Writes the snapshot.
    ///
    /// # Errors
    /// Returns a sentence if the file cannot be written.
    pub(super) fn write(&self, directory: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string());
        let written = text.and_then(|text| {
            replace(&directory.join(FILE), text.as_bytes()).map_err(|error| error.to_string())
        });
        written.map_err(|error| format!("The states of alerts cannot be written: {error}."))
    }
}
