//! The dashboards, built once.

use std::sync::LazyLock;

use monitoring::grafana::Dashboard;
use monitoring::rules::DashboardUid;

static ALL: LazyLock<Vec<Dashboard>> = LazyLock::new(|| {
    let all = monitoring::dashboards::all().into_iter().map(|(_, dashboard)| dashboard);
    // Leaves out those about one request and one alert, which have pages here.
    all.filter(|dashboard| !matches!(dashboard.uid, DashboardUid::Request | DashboardUid::Runbook)).collect()
});

/// Returns the name of a dashboard in addresses.
pub(crate) fn name_of(uid: DashboardUid) -> &'static str {
    uid.as_str().trim_start_matches("socialize-")
}

/// Returns the title without the common prefix.
pub(crate) fn title_of(dashboard: &Dashboard) -> &'static str {
    dashboard.title.trim_start_matches("Socialize: ")
}

pub(crate) fn names() -> &'static [Dashboard] {
    &ALL
}

/// Returns the dashboard with this name in addresses.
pub(crate) fn named(name: &str) -> Option<&'static Dashboard> {
    ALL.iter().find(|dashboard| name_of(dashboard.uid) == name)
}
