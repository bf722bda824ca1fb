//! Recording rules and alerts, each with its runbook section and its tests.
//!
//! One function defines an alert completely: condition, severity, meaning, confirmation and remedy. Rule
//! files, promtool's tests and `docs/RUNBOOK.md` are rendered from it. Thresholds are in [`thresholds`].

mod arrival;
mod background;
mod backlogs;
mod cases;
pub mod causes;
mod collector_alerts;
mod deliveries;
mod dependencies;
mod disks;
pub(crate) mod equivalent_mutants;
mod host;
mod loops;
mod native;
pub mod notifications;
mod objectives;
mod other_programs;
mod postgres;
mod probes;
mod process;
mod quotas;
pub(crate) mod recording_cases;
mod recordings;
mod requests;
mod routes;
mod rule_file;
mod runbook;
mod telemetry_alerts;
pub(crate) mod test_file;
pub mod thresholds;
mod usage;
mod watchers;

use std::time::Duration;

use crate::query::{Expression, Grouping, LabelName, Lines, Scale, Spans, Vector};

pub use cases::{Answered, Case, Expected, Length, Moment, Pace, Series, Shown, Values};
pub use deliveries::{EMAIL_FAILED, STORE_FAILED};
pub use native::Within;
pub use recordings::{
    CORE_ACTIONS, FAILED_REQUESTS, REQUESTS, RecordingGroup, RecordingRule, SLOW_REQUESTS, TIMED_REQUESTS,
    WORKFLOW_ACTIONS, Workflow, recordings,
};
pub(crate) use rule_file::render_few;
pub use rule_file::{RuleFile, annotations, render as render_rules};
pub use runbook::{render as render_runbook, section as runbook_section};
pub use test_file::render as render_tests;

/// Urgency of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Immediately, also at night: users cannot work, or monitoring is blind.
    Critical,
    /// Within the working day.
    Warning,
    /// At a convenient time: nothing is broken.
    Info,
    /// Never: it only proves that alerts arrive.
    None,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::None => "none",
        }
    }
}

/// The dashboards by their fixed UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DashboardUid {
    /// Health, and progress of users through the core workflows.
    Overview,
    /// Rate, errors and duration of requests.
    Api,
    /// Adoption: the features that customers use.
    Adoption,
    /// Jobs, e-mail, files, publishing, Postgres.
    Background,
    /// Postgres's own statistics, and the host.
    Infrastructure,
    /// Completeness of telemetry itself.
    Telemetry,
    /// The trace and log lines of one request.
    Request,
    /// The runbook section of each alert.
    Runbook,
}

impl DashboardUid {
    /// The UID as in the dashboard's address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "socialize-overview",
            Self::Api => "socialize-api",
            Self::Adoption => "socialize-adoption",
            Self::Background => "socialize-background",
            Self::Infrastructure => "socialize-infrastructure",
            Self::Telemetry => "socialize-telemetry",
            Self::Request => "socialize-request",
            Self::Runbook => "socialize-runbook",
        }
    }
}

/// A query of the runbook, rendered as a link to Grafana's Explore.
pub enum Look {
    /// Queries metrics.
    Metrics(&'static str, Expression),
    /// Queries log lines.
    Logs(&'static str, Lines),
    /// Queries traces.
    Traces(&'static str, Spans),
}

/// Builds a metrics query with an explanation of its result.
pub fn metrics<G: Grouping>(says: &'static str, query: &Vector<G>) -> Look {
    Look::Metrics(says, query.expression().clone())
}

/// The runbook section for an operator who has just been paged.
pub struct Runbook {
    /// Meaning of the alert.
    pub meaning: &'static str,
    /// The effect that users notice.
    pub impact: &'static str,
    /// Queries that confirm the fault.
    pub confirm: Vec<Look>,
    /// Remedies, the most likely first.
    pub remedy: &'static [&'static str],
    /// Conditions for escalation.
    pub escalate: &'static str,
}

/// One alert.
pub struct Alert {
    /// The alert's name, which is also the heading of its runbook section.
    pub name: &'static str,
    /// Its urgency.
    pub severity: Severity,
    /// The condition.
    pub condition: Expression,
    /// Pending period: the condition must hold this long before the alert fires.
    pub pending: Duration,
    /// Time that the alert keeps firing after the condition last held, if gaps would resolve it falsely.
    pub keep_firing: Duration,
    /// One line that says what is wrong. May show labels, with [`shown`].
    pub summary: String,
    /// The affected object, with the value.
    pub description: String,
    /// The dashboard to open first.
    pub dashboard: DashboardUid,
    /// Its section of the runbook.
    pub runbook: Runbook,
    /// Set if the alert also fires without any series, as after the first start of an empty stack.
    pub fires_without_data: bool,
    /// Cases for promtool.
    pub cases: Vec<Case>,
}

impl Alert {
    /// The id of its panel on the runbook dashboard. It depends on the name only, so links in old
    /// notifications stay valid when alerts are added or removed.
    pub fn panel_id(&self) -> u16 {
        // FNV-1a, because it is short and collisions are not adversarial; a test checks that there are none.
        let hash = self
            .name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        1 + (hash % u32::from(u16::MAX)) as u16
    }
}

/// Template that inserts a label's value into the text of an alert.
pub fn shown<A: LabelName>() -> String {
    format!("{{{{ $labels.{} }}}}", signal::metric::prometheus_label(A::KEY))
}

/// A group of alerts with the same evaluation interval.
pub struct Group {
    /// The name of the group and of its file.
    pub name: &'static str,
    /// The subject of the group.
    pub about: &'static str,
    /// Evaluation interval at real scale.
    pub every: Duration,
    /// The group's alerts.
    pub alerts: Vec<Alert>,
}

/// Evaluation interval of alerts that can page.
const SOON: Duration = Duration::from_secs(30);

/// Evaluation interval of recordings that alerts look back over for hours.
pub(crate) const RECORDED: Duration = Duration::from_mins(1);

/// Evaluation interval of alerts about slow developments; each evaluation reads days of samples.
pub(crate) const LATER: Duration = Duration::from_mins(5);

/// All groups of alerts.
pub fn groups(scale: Scale) -> Vec<Group> {
    let group = |name, about, every, files: &[fn(Scale) -> Vec<Alert>]| {
        let alerts = files.iter().flat_map(|alerts| alerts(scale)).collect();
        Group { name, about, every, alerts }
    };
    vec![
        group(
            "telemetry",
            "Can the operator trust what he sees?",
            SOON,
            &[telemetry_alerts::alerts, collector_alerts::alerts],
        ),
        group("arrival", "Does telemetry arrive in its stores?", SOON, &[arrival::alerts]),
        group("disks", "Is there room on the disks?", SOON, &[disks::alerts]),
        group("processes", "Do the processes run, and have they room?", SOON, &[process::alerts]),
        group("probes", "Does anybody reach the API?", SOON, &[probes::alerts]),
        group("requests", "Do requests succeed, and in time?", SOON, &[requests::alerts]),
        group("routes", "Does each route do what it is for?", SOON, &[routes::alerts]),
        group("dependencies", "Does what requests need answer?", SOON, &[dependencies::alerts]),
        group("objectives", "Are promises broken within days?", RECORDED, &[objectives::alerts]),
        group("budgets", "Are promises broken within weeks?", LATER, &[objectives::slow_alerts]),
        group(
            "trends",
            "What shows within hours and days only?",
            LATER,
            &[routes::slow_alerts, usage::slow_alerts],
        ),
        group("usage", "Do people get through the core workflows?", SOON, &[usage::alerts, quotas::alerts]),
        group(
            "deliveries",
            "Do e-mail, files and publishing work?",
            SOON,
            &[deliveries::alerts, backlogs::alerts],
        ),
        group("jobs", "Do background services work?", SOON, &[background::alerts, loops::alerts]),
        group("periodic", "Do periodic jobs succeed?", SOON, &[background::periodic_alerts]),
        group(
            "infrastructure",
            "Is Postgres or the host about to fail?",
            SOON,
            &[postgres::alerts, host::alerts],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn alerts() -> Vec<Alert> {
        groups(Scale::REAL).into_iter().flat_map(|group| group.alerts).collect()
    }

    #[test]
    fn names_and_panels_are_unique() {
        let (mut names, mut panels) = (HashSet::new(), HashSet::new());
        for alert in alerts() {
            assert!(names.insert(alert.name), "{} is there twice", alert.name);
            assert!(panels.insert(alert.panel_id()), "{} has the panel of another", alert.name);
        }
    }

    #[test]
    fn every_alert_can_fire_and_be_silent() {
        for alert in alerts() {
            let moments = || alert.cases.iter().flat_map(|case| &case.moments);
            assert!(moments().any(|moment| !moment.fires.is_empty()), "no case shows {} firing", alert.name);
            let silent = moments().any(|moment| moment.fires.is_empty());
            assert!(silent || alert.severity == Severity::None, "no case shows {} silent", alert.name);
        }
    }

    /// Notifications are grouped by labels, so a value in a label would make each evaluation a new alert.
    #[test]
    fn texts_show_labels_and_values_in_the_right_places() {
        for alert in alerts() {
            assert!(!alert.summary.contains("$value"), "{}: the summary is a title", alert.name);
            for text in [&alert.summary, &alert.description] {
                assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{}: {text}", alert.name);
                assert!(!text.contains('\n') && text.ends_with('.'), "{}: {text}", alert.name);
            }
        }
    }

    #[test]
    fn a_scaled_rule_differs_in_windows_only() {
        let expressions = |scale| {
            groups(scale).into_iter().flat_map(|group| group.alerts).map(|alert| alert.condition.to_string())
        };
        let without_windows = |expression: String| {
            let mut out = String::new();
            let mut in_window = false;
            for c in expression.chars() {
                in_window = (in_window || c == '[') && c != ']';
                if !in_window {
                    out.push(c);
                }
            }
            out
        };
        for (real, fast) in expressions(Scale::REAL).zip(expressions(Scale::faster(30))) {
            promql_parser::parser::parse(&real).unwrap_or_else(|error| panic!("{error}: {real}"));
            promql_parser::parser::parse(&fast).unwrap_or_else(|error| panic!("{error}: {fast}"));
            let same_without_numbers = |text: String| {
                without_windows(text)
                    .chars()
                    .filter(|c| !c.is_ascii_digit() && !"smhdw.".contains(*c))
                    .collect::<String>()
            };
            assert_eq!(same_without_numbers(real), same_without_numbers(fast));
        }
    }
}
