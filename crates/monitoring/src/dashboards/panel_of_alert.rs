//! Which panel shows what an alert is about. Nobody has to name it: it is the one of the alert's dashboard whose queries have most in
//! common with the condition.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use super::without_runbook;
use crate::grafana::{Dashboard, Panel};
use crate::query::Scale;
use crate::rules::{Alert, DashboardUid, groups};

/// The dashboard and the id of the panel, or nothing where no panel asks for any metric of the condition.
pub fn panel_of_alert(alert: &Alert) -> Option<(DashboardUid, u16)> {
    static PANELS: OnceLock<HashMap<&'static str, Option<(DashboardUid, u16)>>> = OnceLock::new();
    let panels = PANELS.get_or_init(|| {
        let dashboards = without_runbook();
        let closest = |alert: &Alert| {
            let own = dashboards.iter().filter(|(_, dashboard)| dashboard.uid == alert.dashboard);
            closest(own, &alert.condition).or_else(|| closest(dashboards.iter(), &alert.condition))
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
    let asked = words(condition);
    let panels = dashboards.flat_map(|(_, dashboard)| dashboard.panels().map(|panel| (dashboard.uid, panel)));
    let alike = panels.filter_map(|(uid, panel)| {
        let shown: BTreeSet<&str> = panel.expressions().flat_map(words).collect();
        let common: Vec<&&str> = asked.intersection(&shown).collect();
        // Without a metric in common, what is alike is the language.
        common.iter().any(|word| is_metric(word)).then(|| {
            let share = 100 * common.len() / asked.union(&shown).count();
            (share + bonus(panel), uid, panel.id())
        })
    });
    // Of several that are equally alike, the first.
    alike.reduce(|one, other| if other.0 > one.0 { other } else { one }).map(|(_, uid, id)| (uid, id))
}

/// A chart says more about a time than a number does.
fn bonus(panel: &Panel) -> usize {
    if panel.is_chart() { 25 } else { 0 }
}

/// Names of metrics, labels, values and functions.
fn words(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !is_part(c));
    words.filter(|word| word.len() > 1 && !word.starts_with(|c: char| c.is_ascii_digit())).collect()
}

/// No function, label or value of PromQL has two underscores or a colon and none of these is a metric without; `up` is the exception.
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
        // Its own dashboard shows no burn rate.
        assert_eq!(panel("AvailabilityBudgetBurningFast"), Some((DashboardUid::Api, 52)));
    }

    /// Where this fails for a new alert: its dashboard shows nothing of what it is about, so another one is the right one, or a panel is
    /// missing.
    #[test]
    fn nearly_every_alert_leads_to_a_panel() {
        let alerts: Vec<Alert> = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts).collect();
        let without: Vec<&str> =
            alerts.iter().filter(|alert| panel_of_alert(alert).is_none()).map(|alert| alert.name).collect();
        assert!(without.len() * 6 <= alerts.len(), "without a panel: {without:?}");
    }
}
