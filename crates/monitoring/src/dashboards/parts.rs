//! Parts that several dashboards share.

use catalogue::metrics;
use signal::metric::{CounterMetric, IsCounter, IsHistogram};

use crate::grafana::{Panel, Target, Unit};
use crate::query::{Samples, Selector, ServerRequest, Total, Vector, Window, select};

/// Window of rates: the distance between two points, but at least four scrapes.
pub(super) const RATE: Window = Window::RateInterval;
/// The dashboard's whole time range.
pub(super) const RANGE: Window = Window::Range;

/// Percentiles of latency in one chart, with their names.
pub(super) const PERCENTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")];

/// Adds queries for the percentiles of requests over time. Only the first one asks for exemplars:
/// otherwise several dots would be drawn on top of each other.
pub(super) fn percentiles_of(requests: fn() -> Selector<ServerRequest, IsHistogram>, panel: Panel) -> Panel {
    PERCENTILES.iter().enumerate().fold(panel, |panel, (number, (q, name))| {
        let target = Target::named(name, &requests().timed().quantile(*q, RATE));
        panel.ask(if number == 0 { target.with_exemplars() } else { target })
    })
}

/// The period over which events are counted.
#[derive(Clone, Copy)]
pub(super) enum Count {
    PerBar,
    InRange,
}

impl Count {
    pub(super) fn of<L>(self, counter: &Selector<L, IsCounter>) -> Samples<L> {
        match self {
            Self::PerBar => counter.per_bar(),
            Self::InRange => counter.increase(RANGE),
        }
    }
}

/// Returns the user actions of the core workflows, with their names in charts.
pub(super) fn core_actions(count: Count) -> Vec<(&'static str, Vector<Total>)> {
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
pub(super) fn core_actions_over_time(id: u16, title: &'static str, description: &'static str) -> Panel {
    let panel = Panel::time_series(id, title, description).unit(Unit::Plain).decimals(0).stacked_bars();
    core_actions(Count::PerBar)
        .into_iter()
        .fold(panel, |panel, (name, query)| panel.ask(Target::named(name, &query)))
}
