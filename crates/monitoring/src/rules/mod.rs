//! What Prometheus records and alerts on, with what an operator does about each alert and the tests of each.
//!
//! An alert is one function that says everything about it: condition, severity, what it means, how to confirm it and what to
//! do. Rule files, promtool's tests and `docs/RUNBOOK.md` are rendered from it. Thresholds are in [`thresholds`].

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

use crate::query::{Grouping, LabelName, Lines, Scale, Spans, Vector};

pub use cases::{Answered, Case, Expected, Length, Moment, Pace, Series, Shown};
pub use deliveries::{EMAIL_FAILED, STORE_FAILED};
pub use recordings::{
    CORE_ACTIONS, FAILED_REQUESTS, REQUESTS, SLOW_REQUESTS, TIMED_REQUESTS, WORKFLOW_ACTIONS, Workflow,
};
pub use rule_file::{RuleFile, render as render_rules};
pub(crate) use rule_file::{recorded, render_few};
pub use runbook::{render as render_runbook, section as runbook_section};
pub use test_file::render as render_tests;

/// How soon somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Now, also at night: users cannot work, or nobody would know.
    Critical,
    /// Within the working day.
    Warning,
    /// When there is time: nothing is broken.
    Info,
    /// Never: it shows that alerts arrive.
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

/// The dashboards, by their fixed UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DashboardUid {
    /// Is it healthy, are people getting through?
    Overview,
    /// Rate, errors and duration of requests.
    Api,
    /// Who uses what.
    Adoption,
    /// Jobs, e-mail, files, publishing, Postgres.
    Background,
    /// Postgres as it sees itself, and the host.
    Infrastructure,
    /// Whether telemetry itself can be trusted.
    Telemetry,
    /// What became of one request.
    Request,
    /// What to do about each alert.
    Runbook,
}

impl DashboardUid {
    /// As in the address of the dashboard.
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

/// A query of the runbook, which becomes a link to Grafana's Explore.
pub enum Look {
    /// At metrics.
    Metrics(&'static str, String),
    /// At log lines.
    Logs(&'static str, Lines),
    /// At traces.
    Traces(&'static str, Spans),
}

/// A query for metrics, with what its answer says.
pub fn metrics<G: Grouping>(says: &'static str, query: &Vector<G>) -> Look {
    Look::Metrics(says, query.text().to_owned())
}

/// What somebody needs to know who has been woken by an alert.
pub struct Runbook {
    /// What it means that this fires.
    pub meaning: &'static str,
    /// What users notice.
    pub impact: &'static str,
    /// How to see for oneself.
    pub confirm: Vec<Look>,
    /// What to do, the most likely first.
    pub remedy: &'static [&'static str],
    /// When to get somebody else.
    pub escalate: &'static str,
}

/// One alert.
pub struct Alert {
    /// Its name, also that of its section in the runbook.
    pub name: &'static str,
    /// How soon somebody has to look.
    pub severity: Severity,
    /// When it fires.
    pub condition: String,
    /// For how long the condition must be true before it fires.
    pub pending: Duration,
    /// For how long it goes on firing after the condition was last true, where gaps would resolve it falsely.
    pub keep_firing: Duration,
    /// What is wrong, in one line. May show labels, with [`shown`].
    pub summary: String,
    /// What that is about, with the value.
    pub description: String,
    /// Where to look first.
    pub dashboard: DashboardUid,
    /// What to do.
    pub runbook: Runbook,
    /// Whether it also fires when no series exists at all, as after the first start of an empty stack.
    pub fires_without_data: bool,
    /// What promtool checks.
    pub cases: Vec<Case>,
}

impl Alert {
    /// The id of its panel on the dashboard that shows the runbook. It depends on the name only, so that links of old
    /// notifications stay right when alerts come and go.
    pub fn panel_id(&self) -> u16 {
        // FNV-1a, because it is short and nobody chooses names to make it collide; a test says whether they do.
        let hash = self
            .name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        1 + (hash % u32::from(u16::MAX)) as u16
    }
}

/// The value of a label, in the text of an alert.
pub fn shown<A: LabelName>() -> String {
    format!("{{{{ $labels.{} }}}}", telemetry::catalogue::prometheus_label(A::KEY))
}

/// Alerts that are evaluated together.
pub struct Group {
    /// The name of the group and of its file.
    pub name: &'static str,
    /// What they watch over.
    pub about: &'static str,
    /// How often they are evaluated, at real scale.
    pub every: Duration,
    /// The alerts.
    pub alerts: Vec<Alert>,
}

/// What somebody may be woken for is evaluated this often.
const SOON: Duration = Duration::from_secs(30);

/// What alerts look back over for hours is recorded this often.
pub(crate) const RECORDED: Duration = Duration::from_mins(1);

/// What takes hours to show is evaluated this often; each evaluation reads days of samples.
pub(crate) const LATER: Duration = Duration::from_mins(5);

/// All alerts.
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

    /// Notifications are grouped by labels, so a value in one would make each evaluation a new alert.
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
        let expressions =
            |scale| groups(scale).into_iter().flat_map(|group| group.alerts).map(|alert| alert.condition);
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
