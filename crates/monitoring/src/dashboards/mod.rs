//! The operators' dashboards: eight of them, one file each.
//!
//! *Overview* shows on one screen whether the system is healthy and whether users succeed. The
//! others show where and why not.

use catalogue::metrics;
use signal::metric::{CounterMetric, IsCounter, IsHistogram};

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

/// Window of rates: the distance between two points, but at least four scrapes.
const RATE: Window = Window::RateInterval;
/// The dashboard's whole time range.
const RANGE: Window = Window::Range;

/// Percentiles of latency in one chart, with their names.
const PERCENTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")];

/// Adds queries for the percentiles of requests over time. Only the first one asks for exemplars:
/// otherwise several dots would be drawn on top of each other.
fn percentiles_of(requests: fn() -> Selector<ServerRequest, IsHistogram>, panel: Panel) -> Panel {
    PERCENTILES.iter().enumerate().fold(panel, |panel, (number, (q, name))| {
        let target = Target::named(name, &requests().timed().quantile(*q, RATE));
        panel.ask(if number == 0 { target.with_exemplars() } else { target })
    })
}

/// The period over which events are counted.
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

/// Returns the user actions of the core workflows, with their names in charts.
fn core_actions(count: Count) -> Vec<(&'static str, Vector<Total>)> {
    let of = |metric: &CounterMetric| count.of(&select(metric)).sum();
    vec![
        ("organizations", of(&metrics::ORGANIZATIONS_CREATED)),
        ("workspaces", of(&metrics::WORKSPACES_CREATED)),
        ("invites", of(&metrics::WORKSPACE_INVITES_CREATED)),
        ("content items", of(&metrics::CONTENT_ITEMS_CREATED)),
        ("decisions", count.of(&select(&metrics::APPROVAL_DECISIONS_SUBMITTED)).sum()),
        ("comments", of(&metrics::COMMENTS_CREATED)),
        ("feedback reports", count.of(&select(&metrics::FEEDBACK_REPORTS_SUBMITTED)).sum()),
    ]
}

/// Builds a chart of the user actions of the core workflows.
fn core_actions_over_time(id: u16, title: &'static str, description: &'static str) -> Panel {
    let panel = Panel::time_series(id, title, description).unit(Unit::Plain).decimals(0).stacked_bars();
    core_actions(Count::PerBar)
        .into_iter()
        .fold(panel, |panel, (name, query)| panel.ask(Target::named(name, &query)))
}
