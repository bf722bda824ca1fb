//! Polls Prometheus for firing alerts, and compares them with those of the console.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lasts;
use crate::prometheus::Prometheus;

/// Polling interval, shorter than the evaluation interval of rules.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// Most by which the console may see a change before or after Prometheus: the collector hands its points to
/// each of them within a second, both evaluate within a second, and both are polled.
pub(super) const TOLERANCE: Duration = Duration::from_secs(3);

/// The same for lasting alerts: their value approaches the threshold so slowly that a small difference between
/// two samples moves the time by seconds.
const TOLERANCE_OF_LASTING: Duration = Duration::from_secs(12);

/// Always fires.
pub(super) const WATCHDOG: &str = "Watchdog";

/// Labels that do not identify the subject of an alert.
const GENERAL_LABELS: &[&str] = &["alertname", "severity"];

/// Alerts that fire, and that have fired since observation began. An alert is its name, with its labels other
/// than the severity in braces: `StackTargetDown{job=loki}`.
#[derive(Clone)]
pub(super) struct Alerts(Arc<Mutex<Seen>>);

struct Seen {
    changes: Changes,
    firing: BTreeSet<String>,
    ever: BTreeSet<String>,
    /// Time of Prometheus's last response.
    asked: Instant,
}

impl Alerts {
    /// Polls until the runtime ends.
    pub(super) fn watch(prometheus: Prometheus) -> Self {
        let seen = Seen {
            changes: Changes::default(),
            firing: BTreeSet::new(),
            ever: BTreeSet::new(),
            asked: Instant::now(),
        };
        let alerts = Self(Arc::new(Mutex::new(seen)));
        let seen = alerts.clone();
        tokio::spawn(async move {
            loop {
                // Prometheus is unreachable while it restarts; its last response still holds.
                if let Ok([firing, pending]) = active(&prometheus).await {
                    let mut seen = seen.lock();
                    seen.changes.observe(firing.clone(), pending);
                    seen.ever.extend(firing.iter().cloned());
                    seen.firing = firing;
                    seen.asked = Instant::now();
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        alerts
    }

    /// Forgets alerts that do not fire now.
    pub(super) fn forget(&self) {
        let mut seen = self.lock();
        seen.ever = seen.firing.clone();
        seen.changes.forget();
    }

    /// Returns whether the console fires the same of the compared alerts as Prometheus.
    pub(super) fn agree(&self, console: &Changes, is_compared: impl Fn(&str) -> bool) -> bool {
        let differing =
            self.lock().changes.firing.symmetric_difference(&console.firing).cloned().collect::<Vec<_>>();
        !differing.iter().any(|alert| is_compared(alert))
    }

    /// Compares the changes since [`Alerts::forget`] with those of the console. Returns a sentence for each
    /// alert that differs.
    pub(super) fn differences(
        &self,
        console: &Changes,
        is_compared: impl Fn(&str) -> bool,
        expected: &[&str],
    ) -> Vec<String> {
        self.lock().changes.differences(console, is_compared, expected)
    }

    /// Alerts that fire now, without the watchdog.
    ///
    /// # Panics
    /// Fails if that has been unknown for long, because silence would prove nothing.
    pub(super) fn firing(&self) -> BTreeSet<String> {
        let seen = self.lock();
        assert!(seen.asked.elapsed() < crate::programs::PATIENCE, "Prometheus does not say what fires");
        without_watchdog(&seen.firing)
    }

    /// Alerts that fired at any time since [`Alerts::forget`], without the watchdog.
    pub(super) fn ever(&self) -> BTreeSet<String> {
        without_watchdog(&self.lock().ever)
    }

    /// Returns whether the watchdog fires, without which silence proves nothing.
    pub(super) fn is_watched(&self) -> bool {
        self.lock().firing.contains(WATCHDOG)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Times at which alerts began and ended to fire, since they were last forgotten.
#[derive(Default)]
pub(super) struct Changes {
    firing: BTreeSet<String>,
    of: BTreeMap<String, Vec<(Instant, bool)>>,
    /// Alerts that were pending at any time.
    pending: BTreeSet<String>,
}

impl Changes {
    /// Records what changed since the last observation.
    pub(super) fn observe(&mut self, firing: BTreeSet<String>, pending: BTreeSet<String>) {
        self.pending.extend(pending);
        let now = Instant::now();
        for alert in self.firing.symmetric_difference(&firing) {
            self.of.entry(alert.clone()).or_default().push((now, firing.contains(alert)));
        }
        self.firing = firing;
    }

    pub(super) fn forget(&mut self) {
        self.of.clear();
        self.pending.clear();
    }

    /// Of lasting alerts, only the first beginning is compared: a small difference between two samples moves their
    /// end by a minute. An alert that is not expected may fire on
    /// one side and be pending on the other, because its condition can hold for just the pending period.
    fn differences(
        &self,
        other: &Self,
        is_compared: impl Fn(&str) -> bool,
        expected: &[&str],
    ) -> Vec<String> {
        let alerts: BTreeSet<&String> = self.of.keys().chain(other.of.keys()).collect();
        let mut differences = Vec::new();
        for alert in alerts.into_iter().filter(|alert| is_compared(alert)) {
            let (mut ours, mut theirs) = (changes_of(self, alert), changes_of(other, alert));
            let mut tolerance = TOLERANCE;
            if lasts(alert) {
                tolerance = TOLERANCE_OF_LASTING;
                (ours, theirs) = (first_beginning(ours), first_beginning(theirs));
            }
            let same = ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|((at, firing), (other_at, other_firing))| {
                    let apart = at.max(other_at).duration_since(*at.min(other_at));
                    firing == other_firing && apart <= tolerance
                });
            let is_expected = expected.iter().any(|one| is(alert, one));
            let is_pending = |changes: &[(Instant, bool)], side: &Self| {
                changes.is_empty() && side.pending.contains(alert) && !is_expected
            };
            if !same && !is_pending(ours, self) && !is_pending(theirs, other) {
                let (ours, theirs) = (said(ours, ours, theirs), said(theirs, ours, theirs));
                differences.push(format!("{alert}: Prometheus: {ours}; console: {theirs}"));
            }
        }
        differences
    }
}

fn changes_of<'a>(changes: &'a Changes, alert: &str) -> &'a [(Instant, bool)] {
    changes.of.get(alert).map_or(&[], Vec::as_slice)
}

/// Returns the first change, if the alert did not fire before it.
fn first_beginning(changes: &[(Instant, bool)]) -> &[(Instant, bool)] {
    match changes {
        [first @ (_, true), ..] => std::slice::from_ref(first),
        _ => &[],
    }
}

/// Describes changes with their times after the first of either side.
fn said(changes: &[(Instant, bool)], ours: &[(Instant, bool)], theirs: &[(Instant, bool)]) -> String {
    let first = ours.iter().chain(theirs).map(|(at, _)| *at).min();
    let change = |(at, firing): &(Instant, bool)| {
        let after = first.map_or(Duration::ZERO, |first| at.duration_since(first));
        format!("{} after {:.1} s", if *firing { "fires" } else { "ends" }, after.as_secs_f64())
    };
    if changes.is_empty() {
        "nothing".to_owned()
    } else {
        changes.iter().map(change).collect::<Vec<_>>().join(", ")
    }
}

fn without_watchdog(alerts: &BTreeSet<String>) -> BTreeSet<String> {
    alerts.iter().filter(|alert| *alert != WATCHDOG).cloned().collect()
}

/// Returns whether this is the alert; its labels may be omitted.
pub(super) fn is(alert: &str, expected: &str) -> bool {
    alert.strip_prefix(expected).is_some_and(|labels| labels.is_empty() || labels.starts_with('{'))
}

/// Returns the alerts that fire, and those that are pending.
async fn active(prometheus: &Prometheus) -> Result<[BTreeSet<String>; 2], String> {
    let data = prometheus.get("/api/v1/alerts", &[]).await?;
    let alerts = data["alerts"].as_array().ok_or("no alerts")?;
    let in_state = |state: &str| {
        let found = alerts.iter().filter(|alert| alert["state"] == state);
        found.map(|alert| name(&alert["labels"])).collect()
    };
    Ok(["firing", "pending"].map(in_state))
}

fn name(labels: &serde_json::Value) -> String {
    let values = labels.as_object().into_iter().flatten();
    let values = values.map(|(label, value)| (label.as_str(), value.as_str().unwrap_or_default()));
    described(labels["alertname"].as_str().unwrap_or_default(), values)
}

/// Returns an alert's name with the labels that identify its subject.
pub(super) fn described<'a>(name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let special = labels.filter(|(label, _)| !GENERAL_LABELS.contains(label));
    let mut special: Vec<String> = special.map(|(label, value)| format!("{label}={value}")).collect();
    special.sort_unstable();
    if special.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", special.join(",")) }
}

#[test]
fn an_alert_is_meant_by_its_name_with_or_without_labels() {
    assert_eq!(name(&serde_json::json!({"alertname": "A", "severity": "info"})), "A");
    let alert = name(&serde_json::json!({"alertname": "A", "severity": "info", "job": "loki"}));
    assert!(is(&alert, "A") && is(&alert, "A{job=loki}"));
    assert!(!is(&alert, "A{job=tempo}") && !is("AB", "A") && !is("A", "AB"));
}
