//! What operators look at: eight dashboards, one file each.
//!
//! *Overview* says whether it is healthy and whether people get through, on one screen. The others say where and why.

use ::telemetry::catalogue::{CounterMetric, IsCounter, IsHistogram};
use domain::catalogue;

use crate::files::GeneratedFile;
use crate::grafana::{Dashboard, Panel, Target, Unit};
use crate::query::{Samples, Selector, ServerRequest, Total, Vector, Window, select};

mod adoption;
mod api;
mod background;
mod infrastructure;
mod overview;
mod panel_of_alert;
mod request;
mod runbook;
mod telemetry;

/// All of them, in the order of their links, with their files.
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

/// Their files.
pub fn files() -> Vec<GeneratedFile> {
    let file = |(path, dashboard): (&'static str, Dashboard)| GeneratedFile {
        path: path.to_owned(),
        content: dashboard.render(),
    };
    all().into_iter().map(file).collect()
}

pub use panel_of_alert::panel_of_alert;

/// The distance of two points, at least four scrapes.
const RATE: Window = Window::RateInterval;
/// All that the dashboard shows.
const RANGE: Window = Window::Range;

/// Percentiles of latency that are shown beside one another, with their names.
const PERCENTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")];

/// Asks for the percentiles of requests over time. The dots come with the first of them: asked for with each, they would be
/// drawn on top of each other.
fn percentiles_of(requests: fn() -> Selector<ServerRequest, IsHistogram>, panel: Panel) -> Panel {
    PERCENTILES.iter().enumerate().fold(panel, |panel, (number, (q, name))| {
        let target = Target::named(name, &requests().timed().quantile(*q, RATE));
        panel.ask(if number == 0 { target.with_exemplars() } else { target })
    })
}

/// What events are counted in.
#[derive(Clone, Copy)]
enum Count {
    PerBar,
    InRange,
}

impl Count {
    fn of<L>(self, counter: &Selector<L, IsCounter>) -> Samples<L> {
        match self {
            Self::PerBar => counter.per_bar(),
            Self::InRange => counter.increase(RANGE),
        }
    }
}

/// What users do in the core workflows, with the names that charts give it.
fn core_actions(count: Count) -> Vec<(&'static str, Vector<Total>)> {
    let of = |metric: &CounterMetric| count.of(&select(metric)).sum();
    vec![
        ("organizations", of(&catalogue::ORGANIZATIONS_CREATED)),
        ("workspaces", of(&catalogue::WORKSPACES_CREATED)),
        ("invites", of(&catalogue::WORKSPACE_INVITES_CREATED)),
        ("content items", of(&catalogue::CONTENT_ITEMS_CREATED)),
        ("decisions", count.of(&select(&catalogue::APPROVAL_DECISIONS_SUBMITTED)).sum()),
        ("comments", of(&catalogue::COMMENTS_CREATED)),
        ("feedback reports", count.of(&select(&catalogue::FEEDBACK_REPORTS_SUBMITTED)).sum()),
    ]
}

/// A chart of what users do in the core workflows.
fn core_actions_over_time(id: u16, title: &'static str, description: &'static str) -> Panel {
    let panel = Panel::time_series(id, title, description).unit(Unit::Plain).decimals(0).stacked_bars();
    core_actions(Count::PerBar)
        .into_iter()
        .fold(panel, |panel, (name, query)| panel.ask(Target::named(name, &query)))
}
