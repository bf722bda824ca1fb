//! The definitions of alerts, which are the same as in the files for Prometheus.

use std::sync::OnceLock;

use monitoring::query::Scale;
use monitoring::rules::{Alert, Group, groups};

/// Returns the definitions of all alerts.
pub(super) fn definitions() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| groups(Scale::REAL))
}

pub(super) fn definition(name: &str) -> Option<(&'static Group, &'static Alert)> {
    let all = definitions().iter().flat_map(|group| group.alerts.iter().map(move |alert| (group, alert)));
    all.into_iter().find(|(_, alert)| alert.name == name)
}
