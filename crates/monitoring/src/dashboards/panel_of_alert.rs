//! The panel that an alert links to. It is chosen automatically: of the panels on the alert's
//! dashboard, it is the one whose queries have most words in common with the condition.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use super::without_runbook;
use crate::grafana::{Dashboard, Panel, Target};
use crate::query::Scale;
use crate::rules::{Alert, DashboardUid, groups};

/// Returns the dashboard and the id of the panel, or `None` if no panel queries a metric of the
/// condition.
pub fn panel_of_alert(alert: &Alert) -> Option<(DashboardUid, u16)> {
    static PANELS: OnceLock<HashMap<&'static str, Option<(DashboardUid, u16)>>> = OnceLock::new();
    let panels = PANELS.get_or_init(|| {
        let dashboards = without_runbook();
        let closest = |alert: &Alert| {
            let own = dashboards.iter().filter(|(_, dashboard)| dashboard.uid == alert.dashboard);
            let condition = alert.condition.to_string();
            closest(own, &condition).or_else(|| closest(dashboards.iter(), &condition))
        };
        let alerts = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts);
        alerts.map(|alert| (alert.name, closest(&alert))).collect()
    });
    panels.get(alert.name).copied().flatten()
}

fn closest<'a>(
    dashboards: impl Iterator<Item = &'a (&'static str, Dashboard)>,
    condition: &str,
) -> Option<(DashboardUid, u16)> {
    // The part after `unless on ()` only silences the alert and is not its subject.
    let asked = words(condition.split(" unless on () ").next().unwrap_or_default());
    let panels = dashboards.flat_map(|(_, dashboard)| dashboard.panels().map(|panel| (dashboard.uid, panel)));
    let alike = panels.filter_map(|(uid, panel)| {
        let texts: Vec<String> = panel.targets().iter().map(Target::text).collect();
        let shown: BTreeSet<&str> = texts.iter().flat_map(|text| words(text)).collect();
        let common: Vec<&&str> = asked.intersection(&shown).collect();
        // Without a common metric, only the query language is alike.
        common.iter().any(|word| is_metric(word)).then(|| {
            let share = 100 * common.len() / asked.union(&shown).count();
            let shows_another_part = part_of_histogram(&asked).is_some_and(|part| !shown.contains(part));
            let penalty = if shows_another_part { 25 } else { 0 };
            (share as isize + bonus(panel) - penalty, uid, panel.id())
        })
    });
    // Of several panels with the same score, the first wins.
    alike.reduce(|one, other| if other.0 > one.0 { other } else { one }).map(|(_, uid, id)| (uid, id))
}

/// Returns extra score for charts, which show more about a period than a number does.
fn bonus(panel: &Panel) -> isize {
    if panel.is_chart() { 25 } else { 0 }
}

/// Returns the function that takes counts, durations or shares from a histogram: a panel that shows
/// another part of it is about something else.
fn part_of_histogram<'a>(words: &BTreeSet<&'a str>) -> Option<&'a str> {
    words.iter().copied().find(|word| word.starts_with("histogram_"))
}

/// Returns the names of metrics, labels, values and functions.
fn words(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !is_part(c));
    words.filter(|word| word.len() > 1 && !word.starts_with(|c: char| c.is_ascii_digit())).collect()
}

/// Returns whether a word is a metric's name. Metrics have a colon, two underscores or the prefix
/// `pg_`; functions and labels that look alike are excluded. The exception is `up`.
fn is_metric(word: &str) -> bool {
    let is_function =
        word.starts_with("histogram_") || word.ends_with("_over_time") || word.starts_with("label_");
    let is_name = word.contains(':') || word.matches('_').count() >= 2 || word.starts_with("pg_");
    word == "up"
        || (is_name && !is_function && !word.starts_with("http_r") && !word.starts_with("http_response"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(name: &str) -> Option<(DashboardUid, u16)> {
        let mut alerts = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts);
        panel_of_alert(
            &alerts.find(|one| one.name == name).unwrap_or_else(|| panic!("there is no alert {name}")),
        )
    }

    #[test]
    fn alerts_lead_to_the_panel_that_shows_them() {
        assert_eq!(panel("PostgresTransactionOld"), Some((DashboardUid::Infrastructure, 13)));
        assert_eq!(panel("PostgresDeadRows"), Some((DashboardUid::Infrastructure, 17)));
        assert_eq!(panel("HostMemoryLow"), Some((DashboardUid::Infrastructure, 32)));
        assert_eq!(panel("CollectorQueueFilling"), Some((DashboardUid::Telemetry, 21)));
        assert_eq!(panel("LoopStalled"), Some((DashboardUid::Background, 21)));
        // Counts of failures, and not durations of the same operations.
        assert_eq!(panel("BlobsMissing"), Some((DashboardUid::Background, 35)));
        assert_eq!(panel("DatabaseSlow"), Some((DashboardUid::Background, 45)));
        // The dashboard of the alert itself shows no burn rate.
        assert_eq!(panel("AvailabilityBudgetBurningFast"), Some((DashboardUid::Api, 52)));
    }

    /// If this fails for a new alert, its dashboard shows nothing about it: choose another
    /// dashboard, or add a panel.
    #[test]
    fn nearly_every_alert_leads_to_a_panel() {
        let alerts: Vec<Alert> = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts).collect();
        let without: Vec<&str> =
            alerts.iter().filter(|alert| panel_of_alert(alert).is_none()).map(|alert| alert.name).collect();
        assert!(without.len() * 6 <= alerts.len(), "without a panel: {without:?}");
    }
}
