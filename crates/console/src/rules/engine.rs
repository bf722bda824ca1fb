//! All groups of rules, evaluated at their intervals.

use std::path::{Path, PathBuf};

use monitoring::query::Scale;
use monitoring::rules::{Severity, groups, recordings};

use super::database::Database;
use super::group::{AlertChange, AlertRule, RecordingRule, RuleGroup};
use super::history::{Event, History};
use super::machine::{Active, Phase};
use super::outbox::{Delivery, Outbox};
use super::snapshot::{Saved, Snapshot};
use super::watched::reason_unwatched;
use crate::store::metrics::Labels;

/// Interval of writing states to disk, in milliseconds.
const SAVED_EVERY: i64 = 15_000;

/// The rules with their states.
pub struct RuleEngine {
    groups: Vec<RuleGroup>,
    history: History,
    directory: Option<PathBuf>,
    saved_at: i64,
    messages: Vec<String>,
    outbox: Option<Outbox>,
}

/// A pending or firing series of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertState {
    /// Name of the alert.
    pub alert: &'static str,
    /// Its urgency.
    pub severity: Severity,
    /// Labels other than name and severity.
    pub labels: Labels,
    /// Its phase: pending or firing.
    pub phase: Phase,
    /// Start of the phase, in Unix milliseconds.
    pub since: i64,
    /// Value of the condition when it last held.
    pub value: f64,
    /// Summary of the fault in one line.
    pub summary: String,
    /// The affected object, with the value.
    pub description: String,
}

impl RuleEngine {
    /// Creates the engine for all rules of `monitoring`, without files.
    pub fn in_memory(scale: Scale) -> Self {
        let mut messages = Vec::new();
        let groups = all_groups(scale, &mut messages);
        Self { groups, history: History::default(), directory: None, saved_at: 0, messages, outbox: None }
    }

    /// Creates the engine with history and states from files in a directory. Damaged files are set
    /// aside, with a message for the page.
    pub fn open(directory: &Path, scale: Scale, now: i64) -> Self {
        let mut engine = Self::in_memory(scale);
        engine.history = History::open(directory, now);
        engine.directory = Some(directory.to_owned());
        match Snapshot::read(directory, now) {
            Ok(Some(snapshot)) => engine.restore(&snapshot, now),
            Ok(None) => {}
            Err(message) => engine.messages.push(message),
        }
        engine
    }

    /// Collects notifications for the Alertmanager at an address. `base` is the address of the console's
    /// pages, for links.
    pub fn notify(&mut self, address: String, base: String, environment: Option<String>) {
        self.outbox = Some(Outbox::new(address, base, environment));
    }

    /// Returns the state of notifications; `None` without an Alertmanager.
    pub fn delivery(&self) -> Option<Delivery> {
        self.outbox.as_ref().map(Outbox::delivery)
    }

    /// Takes the body of the next request to the Alertmanager, if one is due.
    pub fn take_notifications(&mut self, now: i64) -> Option<String> {
        let outbox = self.outbox.as_mut()?;
        for group in &mut self.groups {
            outbox.collect(group, now);
        }
        outbox.take(now)
    }

    /// Records the result of the request.
    pub fn finish_notifications(&mut self, result: Result<(), String>, now: i64) {
        if let Some(outbox) = &mut self.outbox {
            outbox.finish(result, now);
        }
    }

    /// Evaluates the groups that are due. Call it about once a second.
    pub fn tick(&mut self, now: i64, database: &mut impl Database) {
        let mut evaluated = false;
        for group in &mut self.groups {
            if let Some(at) = group.due(now) {
                evaluated = true;
                for change in group.evaluate(at, database) {
                    self.history.add(event(change), now);
                }
            }
        }
        if evaluated && (now - self.saved_at).abs() >= SAVED_EVERY {
            self.save(now);
        }
    }

    /// Evaluates all groups at a time, whether or not they are due.
    pub fn evaluate_all(&mut self, at: i64, database: &mut impl Database) {
        for group in &mut self.groups {
            for change in group.evaluate(at, database) {
                self.history.add(event(change), at);
            }
        }
    }

    /// Returns the firing series, the most urgent and oldest first, then the pending ones.
    pub fn states(&self) -> Vec<AlertState> {
        let mut states: Vec<AlertState> = self.alerts().flat_map(AlertRule::states).collect();
        states.sort_by_key(|state| (state.phase != Phase::Firing, urgency(state.severity), state.since));
        states
    }

    /// Returns the groups in the order of their definition.
    pub fn groups(&self) -> &[RuleGroup] {
        &self.groups
    }

    pub fn alerts(&self) -> impl Iterator<Item = &AlertRule> {
        self.groups.iter().flat_map(|group| &group.alerts)
    }

    /// Returns the changes of the last 30 days.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the errors of rules and files.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().map(String::as_str).chain(self.history.message())
    }

    /// Writes the states. Call it at the end of the process.
    pub fn save(&mut self, now: i64) {
        self.saved_at = now;
        let Some(directory) = &self.directory else { return };
        let series = self.alerts().flat_map(|alert| {
            alert.machine.all().map(|(labels, active)| Saved::new(alert.name, labels, active))
        });
        let snapshot = Snapshot { at: now, series: series.collect() };
        let written = snapshot.write(directory);
        self.messages.retain(|message| !message.starts_with("The states of alerts"));
        self.messages.extend(written.err());
    }

    fn restore(&mut self, snapshot: &Snapshot, now: i64) {
        let outdated = snapshot.is_outdated(now);
        for saved in &snapshot.series {
            let labels = saved.labels();
            let Some(active) = saved.restored(snapshot.at, now) else { continue };
            let mut alerts = self.groups.iter_mut().flat_map(|group| &mut group.alerts);
            match alerts.find(|alert| alert.name == saved.alert && alert.unwatched.is_none()) {
                Some(alert) if !outdated => alert.machine.restore(labels, active),
                _ => self.close(&saved.alert, &labels, &active, snapshot.at, now),
            }
        }
        for alert in self.groups.iter_mut().flat_map(|group| &mut group.alerts) {
            alert.note_written();
        }
    }

    /// Ends a state in the history that did not survive the restart.
    fn close(&mut self, alert: &str, labels: &Labels, active: &Active, at: i64, now: i64) {
        if active.phase != Phase::Resolved {
            let (labels, value) = (own_labels(labels), active.value);
            self.history.add(Event { at, alert: alert.into(), labels, phase: Phase::Resolved, value }, now);
        }
    }
}

impl AlertRule {
    /// Returns the pending and firing series.
    pub fn states(&self) -> impl Iterator<Item = AlertState> {
        self.machine.current().map(|(labels, active)| AlertState {
            alert: self.name,
            severity: self.severity,
            labels: own_labels(labels),
            phase: active.phase,
            since: if active.phase == Phase::Firing { active.fired_at } else { active.active_at },
            value: active.value,
            summary: self.summary.expand(labels, active.value),
            description: self.description.expand(labels, active.value),
        })
    }
}

fn all_groups(scale: Scale, messages: &mut Vec<String>) -> Vec<RuleGroup> {
    let recorded = recordings(scale);
    let about = "Recorded sums for alerts about hours and days";
    let mut first = RuleGroup::new(recorded.name, about, scale.of(recorded.every));
    first.recordings =
        recorded.rules.into_iter().map(|rule| RecordingRule::new(rule.name, rule.expression)).collect();
    let mut all = vec![first];
    for group in groups(scale) {
        let mut running = RuleGroup::new(group.name, group.about, scale.of(group.every));
        for alert in &group.alerts {
            match AlertRule::new(alert, reason_unwatched(alert)) {
                Ok(alert) => running.alerts.push(alert),
                Err(error) => messages.push(format!("An alert is not evaluated: {error}.")),
            }
        }
        all.push(running);
    }
    all
}

fn event((alert, change): AlertChange) -> Event {
    let labels = own_labels(&change.labels);
    Event { at: change.at, alert: alert.into(), labels, phase: change.phase, value: change.value }
}

/// Returns the labels without those that every alert has.
fn own_labels(labels: &Labels) -> Labels {
    labels.with("alertname", "").with("severity", "")
}

/// Returns the rank of a severity, the most urgent first.
pub(crate) fn urgency(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
        Severity::None => 3,
    }
}
