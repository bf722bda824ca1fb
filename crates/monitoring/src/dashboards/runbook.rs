//! The *Runbook* dashboard: the text of `docs/RUNBOOK.md`, one panel per alert. Alerts link to it,
//! so a person on call reads the text for the running version without searching a repository.

use crate::grafana::{Band, Dashboard, Panel, Period};
use crate::query::Scale;
use crate::rules::{Alert, DashboardUid, groups, runbook_section};

/// A link without a server is relative to this Grafana.
const THIS_GRAFANA: &str = "";

pub(super) fn dashboard() -> Dashboard {
    let mut bands = Vec::new();
    for (number, group) in (1..).zip(groups(Scale::REAL)) {
        bands.push(Band::Title(number, group.about));
        // Two panels side by side. The link of an alert shows its panel alone.
        for pair in group.alerts.chunks(2) {
            let width = 24 / pair.len() as u8;
            bands.push(Band::Panels(16, pair.iter().map(|alert| panel(alert).width(width)).collect()));
        }
    }
    Dashboard {
        uid: DashboardUid::Runbook,
        title: "Runbook",
        description: "What to do about each alert. The same as docs/RUNBOOK.md.",
        range: Period::Hours(1),
        refresh: None,
        choices: &[],
        bands,
    }
}

fn panel(alert: &Alert) -> Panel {
    Panel::text(
        alert.panel_id(),
        alert.name,
        "What the alert of this name means, how to confirm it, and what to do about it.",
        runbook_section(alert, THIS_GRAFANA),
    )
}
