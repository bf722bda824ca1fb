//! The list of alerts in a panel.

use std::fmt::Write;

use monitoring::query::firing_alerts;

use super::body::Body;
use super::screen::Screen;
use crate::chart::escape;
use crate::evaluate::evaluate_at;

/// Lists the alerts that fire at the end of the range.
pub(crate) fn body(screen: &Screen<'_>) -> Body {
    let firing = firing_alerts();
    let alerts = match evaluate_at(&*screen.metrics, firing.expression(), screen.range.until) {
        Ok(alerts) => alerts,
        Err(refusal) => return Body::Nothing(refusal.to_string()),
    };
    if alerts.is_empty() {
        return Body::Nothing("No alert fires.".to_owned());
    }
    let mut html = String::from("<ul class=\"alerts\">");
    for (labels, _) in &alerts {
        let (name, severity) = (escape(labels.get("alertname")), escape(labels.get("severity")));
        let class = if severity == "critical" || severity == "page" { "bad" } else { "alert" };
        let address = escape(&screen.view.link(&format!("/alerts/{name}"), &[]));
        // Writing into a string cannot fail.
        let _ = write!(
            html,
            "<li><span class=\"chip {class}\">{severity}</span><a href=\"{address}\">{name}</a></li>"
        );
    }
    html.push_str("</ul>");
    let names: Vec<&str> = alerts.iter().map(|(labels, _)| labels.get("alertname")).collect();
    Body::Shown { html, summary: format!("These fire: {}.", names.join(", ")), rows: Vec::new() }
}
