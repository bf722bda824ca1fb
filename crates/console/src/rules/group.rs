//! A group of rules that are evaluated together at an interval.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use monitoring::query::Expression;
use monitoring::rules::Severity;

use super::database::{Database, RuleSample};
use super::machine::{Change, Durations, Machine, Phase};
use super::template::Template;
use crate::store::metrics::{Labels, STALE};

/// Name and labels of a series that a rule writes.
type Key = (Arc<str>, Labels);

/// A group with the state of its rules.
pub struct RuleGroup {
    pub name: &'static str,
    /// Its subject.
    pub about: &'static str,
    /// Evaluation interval in milliseconds.
    pub every: i64,
    pub recordings: Vec<RecordingRule>,
    pub alerts: Vec<AlertRule>,
    /// Time of the last evaluation, in Unix milliseconds.
    pub evaluated_at: Option<i64>,
    slot: Option<i64>,
}

/// A recording rule with its last result.
pub struct RecordingRule {
    /// Name of the series.
    pub name: Arc<str>,
    pub expression: Expression,
    /// Reason why the last evaluation failed.
    pub error: Option<String>,
    written: BTreeSet<Key>,
}

/// An alert rule with its state.
pub struct AlertRule {
    pub name: &'static str,
    /// Its urgency.
    pub severity: Severity,
    pub condition: Expression,
    /// Pending period, and the time that the alert keeps firing.
    pub durations: Durations,
    /// Summary of the fault in one line.
    pub summary: Template,
    /// The affected object, with the value.
    pub description: Template,
    /// Reason why the console does not evaluate it.
    pub unwatched: Option<&'static str>,
    /// Reason why the last evaluation failed.
    pub error: Option<String>,
    /// Its series.
    pub machine: Machine,
    written: BTreeSet<Key>,
}

/// A change of state of an alert.
pub(super) type AlertChange = (&'static str, Change);

/// Name of the series that show which alerts are active.
const ALERTS: &str = "ALERTS";

impl RuleGroup {
    /// Creates a group without rules.
    pub(super) fn new(name: &'static str, about: &'static str, every: Duration) -> Self {
        let every = milliseconds(every).max(1000);
        let (recordings, alerts) = (Vec::new(), Vec::new());
        Self { name, about, every, recordings, alerts, evaluated_at: None, slot: None }
    }

    /// Returns the scheduled time of the evaluation, if it is due. As in Prometheus, a hash of the group's
    /// name determines the times, so that groups are spread and a restart does not change them. The first
    /// evaluation is at the next such time. Missed times are skipped.
    pub(super) fn due(&mut self, now: i64) -> Option<i64> {
        let slot = now - (now - self.offset()).rem_euclid(self.every);
        let is_due = match self.slot {
            None => false,
            // If the clock was set back by more than an interval, the schedule starts anew.
            Some(last) => slot > last || slot < last - self.every,
        };
        if is_due || self.slot.is_none() {
            self.slot = Some(slot);
        }
        is_due.then_some(slot)
    }

    fn offset(&self) -> i64 {
        // FNV-1a, because it is short and stable.
        let hash = self.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        i64::try_from(hash % self.every.unsigned_abs()).unwrap_or_default()
    }

    /// Evaluates all rules: recordings first, so that alerts of the group can read them. Returns the
    /// changes of state.
    pub(super) fn evaluate(&mut self, at: i64, database: &mut impl Database) -> Vec<AlertChange> {
        let mut samples = Vec::new();
        for recording in &mut self.recordings {
            recording.evaluate(at, database, &mut samples);
        }
        append(database, self.name, at, &mut samples);
        let mut changes = Vec::new();
        for alert in self.alerts.iter_mut().filter(|alert| alert.unwatched.is_none()) {
            let of_alert = alert.evaluate(at, database, &mut samples);
            changes.extend(of_alert.into_iter().map(|change| (alert.name, change)));
        }
        append(database, self.name, at, &mut samples);
        self.evaluated_at = Some(at);
        changes
    }
}

fn append(database: &mut impl Database, group: &str, at: i64, samples: &mut Vec<RuleSample>) {
    if !samples.is_empty() {
        database.append(group, at, std::mem::take(samples));
    }
}

impl RecordingRule {
    pub(super) fn new(name: &'static str, expression: Expression) -> Self {
        Self { name: name.into(), expression, error: None, written: BTreeSet::new() }
    }

    fn evaluate(&mut self, at: i64, database: &impl Database, samples: &mut Vec<RuleSample>) {
        match database.evaluate(&self.expression, at) {
            Ok(results) => {
                self.error = None;
                let results = results
                    .into_iter()
                    .map(|(labels, value)| ((Arc::clone(&self.name), labels), value))
                    .collect();
                write(&mut self.written, results, samples);
            }
            Err(error) => self.error = Some(error),
        }
    }
}

impl AlertRule {
    /// Creates an alert of `monitoring`.
    ///
    /// # Errors
    /// Returns an error if its texts contain what the console cannot insert.
    pub(super) fn new(
        alert: &monitoring::rules::Alert,
        unwatched: Option<&'static str>,
    ) -> Result<Self, String> {
        let template = |text: &str| Template::new(text).map_err(|error| format!("{}: {error}", alert.name));
        Ok(Self {
            name: alert.name,
            severity: alert.severity,
            condition: alert.condition.clone(),
            durations: Durations {
                pending: milliseconds(alert.pending),
                keep_firing: milliseconds(alert.keep_firing),
            },
            summary: template(&alert.summary)?,
            description: template(&alert.description)?,
            unwatched,
            error: None,
            machine: Machine::default(),
            written: BTreeSet::new(),
        })
    }

    fn evaluate(&mut self, at: i64, database: &impl Database, samples: &mut Vec<RuleSample>) -> Vec<Change> {
        let results = database.evaluate(&self.condition, at);
        let named = results.map(|results| {
            let named = |(labels, value): (Labels, f64)| {
                (labels.with("alertname", self.name).with("severity", self.severity.as_str()), value)
            };
            results.into_iter().map(named).collect()
        });
        match named.and_then(|results| self.machine.step(at, self.durations, results)) {
            Ok(changes) => {
                self.error = None;
                let results = self.series().map(|key| (key, 1.0)).collect();
                write(&mut self.written, results, samples);
                changes
            }
            // As in Prometheus, states do not change while the condition cannot be evaluated.
            Err(error) => {
                self.error = Some(error);
                Vec::new()
            }
        }
    }

    /// Returns the series `ALERTS` of pending and firing series.
    fn series(&self) -> impl Iterator<Item = Key> {
        let name: Arc<str> = ALERTS.into();
        self.machine.current().map(move |(labels, active)| {
            (Arc::clone(&name), labels.with("alertstate", active.phase.as_str()))
        })
    }

    /// Restores after a restart which series were written before, so that they are marked stale when they
    /// end.
    pub(super) fn note_written(&mut self) {
        self.written = self.series().collect();
    }

    /// Returns the most urgent state of its series, if any is active.
    pub fn phase(&self) -> Option<Phase> {
        self.machine.current().map(|(_, active)| active.phase).max()
    }
}

/// Adds the samples of a rule, and marks the end of series that it no longer writes.
fn write(written: &mut BTreeSet<Key>, results: Vec<(Key, f64)>, samples: &mut Vec<RuleSample>) {
    let sample = |(name, labels): Key, value| RuleSample { name, labels, value };
    let current: BTreeSet<Key> = results.iter().map(|(key, _)| key.clone()).collect();
    samples.extend(written.difference(&current).map(|key| sample(key.clone(), STALE)));
    samples.extend(results.into_iter().map(|(key, value)| sample(key, value)));
    *written = current;
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
