//! The list of alerts in a panel.

use std::fmt::Write;

use monitoring::rules::Severity;

use super::body::Body;
use super::screen::Screen;
use crate::calendar;
use crate::chart::escape;
use crate::rules::{AlertState, Phase};

/// Maximum number of alerts in a panel.
const MOST: usize = 30;

/// Lists the firing and pending alerts.
pub(crate) fn body(screen: &Screen<'_>) -> Body {
    let mut alerts: Vec<&AlertState> = screen.alerts.iter().filter(|alert| is_shown(alert)).collect();
    if alerts.is_empty() {
        return Body::Nothing("No alert fires, and none is pending.".to_owned());
    }
    let rank = |alert: &AlertState| {
        (alert.phase != Phase::Firing, alert.severity != Severity::Critical, alert.since)
    };
    alerts.sort_by_key(|alert| rank(alert));
    let mut html = String::from("<ul class=\"alerts\">");
    for alert in alerts.iter().take(MOST) {
        let class = match (alert.phase, alert.severity) {
            (Phase::Firing, Severity::Critical) => "bad",
            (Phase::Firing, _) => "alert",
            _ => "warn",
        };
        let phase = if alert.phase == Phase::Firing { "fires" } else { "pending" };
        let address = escape(&screen.view.link(&format!("/alerts/{}", alert.alert), &[]));
        let since = calendar::duration(screen.view.now - alert.since);
        // Writing into a string cannot fail.
        let _ = write!(
            html,
            "<li><span class=\"chip {class}\">{phase}</span><div><a href=\"{address}\">{}</a> <small class=\"soft\">\
             for {since}</small><p class=\"soft\">{}</p></div></li>",
            escape(alert.alert),
            escape(&alert.summary)
        );
    }
    html.push_str("</ul>");
    let firing = alerts.iter().filter(|alert| alert.phase == Phase::Firing).count();
    let summary = format!("{firing} alerts fire, {} are pending.", alerts.len() - firing);
    Body::said(html, summary)
}

fn is_shown(alert: &AlertState) -> bool {
    alert.severity != Severity::None && alert.phase != Phase::Resolved
}
