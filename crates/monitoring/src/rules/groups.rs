//! All alerts, in groups that are evaluated together.

use super::alert::{Alert, Group, LATER, RECORDED, SOON};
use super::{
    arrival, background, backlogs, collector_alerts, deliveries, dependencies, disks, host, loops,
    objectives, postgres, probes, process, quotas, requests, routes, telemetry_alerts, usage,
};
use crate::query::Scale;

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
    use crate::severity::Severity;

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
