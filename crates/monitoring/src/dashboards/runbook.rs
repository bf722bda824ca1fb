//! *Runbook*: what `docs/RUNBOOK.md` says, a panel for each alert. Alerts link to it, so whoever is woken by one reads what belongs to
//! the version that runs, without looking for a repository.

use crate::grafana::{Band, Dashboard, Panel};
use crate::query::Scale;
use crate::rules::{Alert, DashboardUid, groups, runbook_section};

/// Links without a server lead to the one that shows them.
const THIS_GRAFANA: &str = "";

pub(super) fn dashboard() -> Dashboard {
    let mut bands = Vec::new();
    for (number, group) in (1..).zip(groups(Scale::REAL)) {
        bands.push(Band::Title(number, group.about));
        // Two beside each other; each is shown alone by the link of its alert.
        for pair in group.alerts.chunks(2) {
            let width = 24 / pair.len() as u8;
            bands.push(Band::Panels(16, pair.iter().map(|alert| panel(alert).width(width)).collect()));
        }
    }
    Dashboard {
        uid: DashboardUid::Runbook,
        title: "Runbook",
        description: "What to do about each alert. The same as docs/RUNBOOK.md.",
        from: "now-1h",
        refresh: "",
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
