//! All alerts: firing ones first, then pending ones, then all others by group.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::marks::{label_text, severity_class};
use crate::calendar;
use crate::pages::{Layout, Problem, View, respond};
use crate::rules::{AlertRule, AlertState, Phase, RuleEngine};
use crate::state::{Console, SharedConsole, read};

#[derive(Template)]
#[template(path = "alerts.html")]
struct Alerts {
    layout: Layout,
    class: &'static str,
    sentence: String,
    notified: Notified,
    messages: Vec<String>,
    active: Vec<ActiveRow>,
    groups: Vec<GroupRows>,
    unwatched: Vec<AlertRow>,
    unwatched_reason: &'static str,
}

/// Who is notified.
pub(super) struct Notified {
    class: &'static str,
    sentence: String,
    detail: String,
}

struct ActiveRow {
    phase: &'static str,
    phase_class: &'static str,
    severity: &'static str,
    severity_class: &'static str,
    name: &'static str,
    address: String,
    summary: String,
    description: String,
    labels: String,
    value: String,
    since: String,
    duration: String,
}

struct GroupRows {
    about: &'static str,
    every: String,
    rows: Vec<AlertRow>,
}

struct AlertRow {
    name: &'static str,
    address: String,
    meaning: String,
    severity: &'static str,
    severity_class: &'static str,
    state: &'static str,
    state_class: &'static str,
    note: String,
}

pub(super) async fn list(State(console): State<SharedConsole>, view: View) -> Response {
    respond(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<Alerts, Problem> {
    let engine = read(console.rules());
    let states = engine.states();
    let (class, sentence) = verdict(&states);
    let values: HashMap<&str, &AlertRule> = engine.alerts().map(|rule| (rule.name, rule)).collect();
    let active = states.iter().map(|state| active_row(state, values.get(state.alert).copied(), view));
    let last_fired = last_fired(&engine);
    let groups = engine.groups().iter().filter(|group| !group.alerts.is_empty());
    let groups = groups.map(|group| GroupRows {
        about: group.about,
        every: calendar::duration(group.every),
        rows: group
            .alerts
            .iter()
            .filter(|rule| rule.unwatched.is_none())
            .map(|rule| row(rule, last_fired.get(rule.name).copied(), view))
            .collect(),
    });
    let unwatched = engine.alerts().filter(|rule| rule.unwatched.is_some());
    Ok(Alerts {
        layout: Layout::new("Alerts", view, console).with_refresh(view, 30),
        class,
        sentence,
        notified: notified(&engine, view.now),
        messages: engine.messages().map(str::to_owned).collect(),
        active: active.collect(),
        groups: groups.filter(|group| !group.rows.is_empty()).collect(),
        unwatched: unwatched.map(|rule| row(rule, None, view)).collect(),
        unwatched_reason: engine.alerts().find_map(|rule| rule.unwatched).unwrap_or_default(),
    })
}

/// Returns the state of all alerts in one sentence. The alert that always fires does not count.
fn verdict(states: &[AlertState]) -> (&'static str, String) {
    let is_alarm = |state: &&AlertState| state.severity != monitoring::rules::Severity::None;
    let in_phase = |phase| states.iter().filter(is_alarm).filter(move |state| state.phase == phase);
    let firing: BTreeMap<&str, &AlertState> =
        in_phase(Phase::Firing).map(|state| (state.alert, state)).collect();
    let pending: BTreeSet<&str> = in_phase(Phase::Pending).map(|state| state.alert).collect();
    let pending = pending.iter().filter(|name| !firing.contains_key(*name)).count();
    let count = |number: usize, verb: &str| match number {
        1 => format!("One alert {verb}"),
        _ => format!("{number} alerts {}", verb.trim_end_matches('s')),
    };
    let urgent = firing.values().any(|state| state.severity == monitoring::rules::Severity::Critical);
    match (firing.len(), pending) {
        (0, 0) => ("good", "No alert fires.".to_owned()),
        (0, 1) => ("good", "No alert fires; one is pending.".to_owned()),
        (0, pending) => ("good", format!("No alert fires; {pending} are pending.")),
        (firing, 0) => (if urgent { "bad" } else { "warning" }, format!("{}.", count(firing, "fires"))),
        (firing, pending) => {
            let class = if urgent { "bad" } else { "warning" };
            (class, format!("{}, and {pending} more pending.", count(firing, "fires")))
        }
    }
}

/// Returns who is notified, and whether notifications succeed.
pub(super) fn notified(engine: &RuleEngine, now: i64) -> Notified {
    let Some(delivery) = engine.delivery() else {
        return Notified {
            class: "unknown",
            sentence: "Nobody is notified.".to_owned(),
            detail: "Start the console with --alertmanager URL to send alerts to an Alertmanager.".to_owned(),
        };
    };
    let ago = |at: i64| format!("{} ago", calendar::duration(now - at));
    let succeeded = match delivery.succeeded_at {
        Some(at) => format!("The last alert was sent {}.", ago(at)),
        None => "No alert has been sent yet.".to_owned(),
    };
    match delivery.failed {
        Some((at, reason)) => Notified {
            class: "bad",
            sentence: format!("The Alertmanager at {} does not accept alerts.", delivery.address),
            detail: format!("{}: {reason}. {} alerts wait. {succeeded}", ago(at), delivery.waiting),
        },
        None => Notified {
            class: "good",
            sentence: format!("The Alertmanager at {} notifies.", delivery.address),
            detail: succeeded,
        },
    }
}

fn active_row(state: &AlertState, rule: Option<&AlertRule>, view: &View) -> ActiveRow {
    ActiveRow {
        phase: state.phase.as_str(),
        phase_class: phase_class(state.phase),
        severity: state.severity.as_str(),
        severity_class: severity_class(state.severity),
        name: state.alert,
        address: view.link(&format!("/alerts/{}", state.alert), &[]),
        summary: state.summary.clone(),
        description: state.description.clone(),
        labels: label_text(&state.labels),
        value: rule.map(|rule| rule.description.value(state.value)).unwrap_or_default(),
        since: calendar::date_and_time(state.since),
        duration: calendar::duration(view.now - state.since),
    }
}

/// Returns the class of a state's mark.
pub(super) fn phase_class(phase: Phase) -> &'static str {
    match phase {
        Phase::Firing => "bad",
        Phase::Pending => "warn",
        Phase::Resolved => "good",
    }
}

fn row(rule: &AlertRule, last_fired: Option<i64>, view: &View) -> AlertRow {
    let (state, state_class) = match (rule.unwatched, &rule.error, rule.phase()) {
        (Some(_), ..) => ("not watched", ""),
        (None, Some(_), _) => ("not evaluated", "alert"),
        (None, None, Some(phase)) => (phase.as_str(), phase_class(phase)),
        (None, None, None) => ("quiet", "good"),
    };
    let note = match (&rule.error, last_fired) {
        (Some(error), _) => error.clone(),
        (None, Some(at)) => format!("fired {} ago", calendar::duration(view.now - at)),
        (None, None) => String::new(),
    };
    AlertRow {
        name: rule.name,
        address: view.link(&format!("/alerts/{}", rule.name), &[]),
        meaning: rule.summary.without_values(),
        severity: rule.severity.as_str(),
        severity_class: severity_class(rule.severity),
        state,
        state_class,
        note,
    }
}

/// Returns the time at which each alert last fired, within the history.
fn last_fired(engine: &RuleEngine) -> HashMap<String, i64> {
    let events = engine.history().between(i64::MIN, i64::MAX);
    let firing = events.filter(|event| event.phase == Phase::Firing);
    firing.map(|event| (event.alert.to_string(), event.at)).collect()
}
