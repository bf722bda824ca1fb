//! Pages about alerts: all of them, and one with its history and its section of the runbook.

mod detail;
mod links;
mod list;
mod prose;
mod timeline;

use std::sync::OnceLock;

use axum::Router;
use axum::routing::get;
use monitoring::query::Scale;
use monitoring::rules::{Alert, Group, Severity, groups};

use crate::state::SharedConsole;

/// Serves both pages.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/alerts", get(list::list)).route("/alerts/{name}", get(detail::detail))
}

/// Returns the definitions of all alerts.
fn definitions() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| groups(Scale::REAL))
}

/// Returns the definition of an alert.
fn definition(name: &str) -> Option<(&'static Group, &'static Alert)> {
    let all = definitions().iter().flat_map(|group| group.alerts.iter().map(move |alert| (group, alert)));
    all.into_iter().find(|(_, alert)| alert.name == name)
}

/// Returns the class of a severity's mark.
fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "bad",
        Severity::Warning => "alert",
        Severity::Info => "info",
        Severity::None => "",
    }
}

/// Returns labels as people read them.
fn label_text(labels: &crate::store::metrics::Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}
