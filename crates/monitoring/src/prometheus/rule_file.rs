//! The rule files of Prometheus.

use std::time::Duration;

use crate::dashboards::panel_of_alert;
use crate::query::{Expression, Scale, Window, duration_text};
use crate::rules::text::{GRAFANA, block, push};
use crate::rules::{Alert, DashboardUid, Group, groups, recordings};

/// One rule file: the recordings, or the alerts of a group.
pub struct RuleFile {
    /// The file's name without its extension.
    pub name: String,
    /// The file's YAML.
    pub content: String,
}

/// Renders all rule files.
pub fn render(scale: Scale) -> Vec<RuleFile> {
    let recordings = RuleFile { name: "recordings".to_owned(), content: render_recordings(scale) };
    let alerts = groups(scale).into_iter();
    let alerts =
        alerts.map(|group| RuleFile { name: group.name.to_owned(), content: render_group(&group, scale) });
    std::iter::once(recordings).chain(alerts).collect()
}

fn render_recordings(scale: Scale) -> String {
    let group = recordings(scale);
    let every = scale.of(group.every);
    let mut out = beginning("Sums that alerts look back over for hours and days.", group.name, every);
    for rule in group.rules {
        render_recording(&mut out, rule.name, &rule.expression.to_string());
    }
    out
}

fn render_recording(out: &mut String, name: &str, expression: &str) {
    push(out, format_args!("      - record: {name}\n"));
    block(out, "        ", "expr", expression);
}

/// Renders a few rules as a file of their own. Each recording and each alert has its expression with it.
pub(crate) fn render_few(recorded: &[(&str, &str)], alerts: &[(&Alert, &str)], every: Duration) -> String {
    let mut out = beginning("A few rules.", "few", every);
    for (name, expression) in recorded {
        render_recording(&mut out, name, expression);
    }
    for (alert, condition) in alerts {
        render_alert(&mut out, alert, condition);
    }
    out
}

fn render_group(group: &Group, scale: Scale) -> String {
    let mut out = beginning(group.about, group.name, scale.of(group.every));
    for alert in &group.alerts {
        render_alert(&mut out, alert, &alert.condition.to_string());
    }
    out
}

fn beginning(about: &str, name: &str, every: Duration) -> String {
    let interval = duration_text(every);
    format!(
        "# Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules.\n# {about}\n\
         groups:\n  - name: {name}\n    interval: {interval}\n    rules:\n"
    )
}

fn render_alert(out: &mut String, alert: &Alert, condition: &str) {
    push(out, format_args!("      - alert: {}\n", alert.name));
    block(out, "        ", "expr", condition);
    for (key, duration) in [("for", alert.pending), ("keep_firing_for", alert.keep_firing)] {
        if !duration.is_zero() {
            push(out, format_args!("        {key}: {}\n", duration_text(duration)));
        }
    }
    push(out, format_args!("        labels:\n          severity: {}\n", alert.severity.as_str()));
    out.push_str("        annotations:\n");
    for (key, text) in annotations(alert) {
        block(out, "          ", key, &text);
    }
}

/// The annotations of an alert, in order.
pub fn annotations(alert: &Alert) -> [(&'static str, String); 4] {
    [
        ("summary", alert.summary.clone()),
        ("description", alert.description.clone()),
        ("runbook_url", runbook_url(alert)),
        ("dashboard_url", panel_url(alert)),
    ]
}

fn runbook_url(alert: &Alert) -> String {
    format!("{}?viewPanel={}", dashboard_url(DashboardUid::Runbook), alert.panel_id())
}

/// Shortest time range of a notification's chart.
const SHORTEST_RANGE: Duration = Duration::from_hours(3);

/// Link to the panel of the alert, over the range that its condition looks back.
fn panel_url(alert: &Alert) -> String {
    let (dashboard, panel) = match panel_of_alert(alert) {
        Some((dashboard, id)) => (dashboard, format!("viewPanel={id}&")),
        None => (alert.dashboard, String::new()),
    };
    let range = duration_text(longest_window(&alert.condition).max(SHORTEST_RANGE));
    format!("{}?{panel}from=now-{range}&to=now", dashboard_url(dashboard))
}

/// The longest fixed window of an expression, such as one hour in `rate(x[1h])`.
fn longest_window(expression: &Expression) -> Duration {
    let mut longest = Duration::ZERO;
    expression.for_each(&mut |part| {
        if let Expression::Range { window: Window::Fixed(window), .. } = part {
            longest = longest.max(*window);
        }
    });
    longest
}

fn dashboard_url(dashboard: DashboardUid) -> String {
    format!("{GRAFANA}/d/{}", dashboard.as_str())
}

#[cfg(test)]
mod tests {
    use catalogue::metrics::HEARTBEAT;

    use super::*;
    use crate::query::select;

    #[test]
    fn a_chart_reaches_back_as_far_as_the_condition() {
        let queries = |window: Duration| select(&HEARTBEAT).average(window).max();
        assert_eq!(longest_window(select(&HEARTBEAT).now().max().below(1.0).expression()), Duration::ZERO);
        let both = queries(Duration::from_hours(1)).over(queries(Duration::from_hours(72))).above(1.0);
        assert_eq!(longest_window(both.expression()), Duration::from_hours(72));
    }
}
