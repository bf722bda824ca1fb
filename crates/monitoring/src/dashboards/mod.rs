//! The operators' dashboards: eight of them, one file each.
//!
//! *Overview* shows on one screen whether the system is healthy and whether users succeed. The
//! others show where and why not.

use crate::generated::GeneratedFile;
use crate::grafana::Dashboard;

mod adoption;
mod api;
mod background;
mod infrastructure;
mod overview;
mod panel_of_alert;
mod parts;
mod request;
mod runbook;
mod telemetry;

/// Returns all dashboards and their files, in the order of their links.
pub fn all() -> Vec<(&'static str, Dashboard)> {
    let mut all = without_runbook();
    all.push(("deploy/grafana/dashboards/runbook.json", runbook::dashboard()));
    all
}

fn without_runbook() -> Vec<(&'static str, Dashboard)> {
    vec![
        ("deploy/grafana/dashboards/overview.json", overview::dashboard()),
        ("deploy/grafana/dashboards/api.json", api::dashboard()),
        ("deploy/grafana/dashboards/adoption.json", adoption::dashboard()),
        ("deploy/grafana/dashboards/background.json", background::dashboard()),
        ("deploy/grafana/dashboards/infrastructure.json", infrastructure::dashboard()),
        ("deploy/grafana/dashboards/telemetry.json", telemetry::dashboard()),
        ("deploy/grafana/dashboards/request.json", request::dashboard()),
    ]
}

/// Renders the files of all dashboards.
pub fn files() -> Vec<GeneratedFile> {
    let file = |(path, dashboard): (&'static str, Dashboard)| GeneratedFile {
        path: path.to_owned(),
        content: dashboard.render(),
    };
    all().into_iter().map(file).collect()
}

pub use panel_of_alert::panel_of_alert;
