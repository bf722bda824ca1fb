//! Log lines and traces in panels, and counts of lines.

use std::sync::Arc;

use askama::Template;
use monitoring::grafana::{Panel, Query};
use monitoring::query::{LineQuery, Lines, Spans};
use signal::{ClosedSet, Level};

use super::body::Body;
use super::screen::Screen;
use super::translate::{counted, field_name, search, span_search};
use super::views::{LinesView, PanelLine, PanelTrace, TracesView};
use crate::calendar;
use crate::chart::{Times, value_text};
use crate::pages::line_view::LineView;
use crate::state::read;
use crate::store::lines::LineCondition;
use crate::store::metrics::Labels;
use crate::store::{ValueTest, spans::TraceSummary};

/// Maximum number of lines in a panel. The page Logs has more.
const LINES: usize = 60;
/// Maximum number of traces in a panel.
const TRACES: usize = 20;
/// Maximum number of values of a field.
const VALUES: usize = 20;

/// Returns the log lines or traces of a panel; `None` if it queries neither.
pub(crate) fn body(panel: &Panel, screen: &Screen<'_>) -> Option<Body> {
    panel.targets().iter().find_map(|target| match target.narrowed(screen.choices) {
        Query::Lines { lines, most } => Some(lines_body(panel, &lines, usize::from(most), screen)),
        Query::Traces { spans, limit } => Some(traces_body(panel, &spans, usize::from(limit), screen)),
        Query::Series { .. } | Query::LineCount { .. } => None,
    })
}

fn lines_body(panel: &Panel, lines: &Lines, most: usize, screen: &Screen<'_>) -> Body {
    let found = read(screen.console.lines()).search(&search(lines, screen, most.min(LINES)));
    if found.is_empty() {
        let nothing = panel.values().nothing.unwrap_or("No such line in this range.");
        return Body::Nothing(nothing.to_owned());
    }
    let rows: Vec<PanelLine> =
        found.iter().map(|found| PanelLine { line: LineView::new(&found.line, screen.view) }).collect();
    let summary = format!("The newest {}.", counted(rows.len(), "line"));
    match (LinesView { label: panel.title(), rows }).render() {
        Ok(html) => Body::said(html, summary),
        Err(_) => Body::Nothing("The lines cannot be rendered.".to_owned()),
    }
}

fn traces_body(panel: &Panel, spans: &Spans, most: usize, screen: &Screen<'_>) -> Body {
    let found = read(screen.console.spans()).search(&span_search(spans, screen, most.min(TRACES)));
    if found.is_empty() {
        let nothing = panel.values().nothing.unwrap_or("No such trace in this range.");
        return Body::Nothing(nothing.to_owned());
    }
    let rows: Vec<PanelTrace> = found.iter().map(|trace| trace_row(trace, screen)).collect();
    let summary = format!("The newest {}.", counted(rows.len(), "trace"));
    match (TracesView { label: panel.title(), rows }).render() {
        Ok(html) => Body::said(html, summary),
        Err(_) => Body::Nothing("The traces cannot be rendered.".to_owned()),
    }
}

fn trace_row(trace: &TraceSummary, screen: &Screen<'_>) -> PanelTrace {
    let at = i64::try_from(trace.start_ns / 1_000_000).unwrap_or(0);
    let seconds = trace.end_ns.saturating_sub(trace.start_ns) as f64 / 1e9;
    PanelTrace {
        time: calendar::clock_with_seconds(at),
        machine_time: calendar::for_machines(at),
        address: screen.view.link(&format!("/traces/{}", trace.trace_id), &[]),
        name: trace.root.name.to_string(),
        found: if trace.root.name == trace.found.name { String::new() } else { trace.found.name.to_string() },
        failed: trace.failed_spans > 0,
        spans: trace.spans,
        duration: value_text(seconds, monitoring::grafana::Unit::Seconds, None),
    }
}

/// Counts lines in the whole range.
pub(crate) fn line_counts(query: &LineQuery, screen: &Screen<'_>) -> Vec<(Labels, f64)> {
    let (field, most) = match query {
        LineQuery::CountBy { field, .. } => (*field, VALUES),
        LineQuery::MostAffected { field, most, .. } => (*field, usize::from(*most)),
        LineQuery::NumberAffected { field, .. } => (*field, 1),
        LineQuery::CountByLevel { .. } => return Vec::new(),
    };
    let mut search = search(query.lines(), screen, 1);
    let name = field_name(field.name());
    if !matches!(query, LineQuery::CountBy { .. }) {
        search.conditions.push(LineCondition::Field(name.to_owned(), ValueTest::Exists));
    }
    let groups = read(screen.console.lines()).groups(&search, name, most);
    if matches!(query, LineQuery::NumberAffected { .. }) {
        return vec![(Labels::default(), groups.distinct as f64)];
    }
    let label: Arc<str> = signal::metric::prometheus_label(name).into();
    let labels = |value: &str| Labels::new([(Arc::clone(&label), Arc::from(value))]);
    groups.top.iter().map(|(value, count)| (labels(value), *count as f64)).collect()
}

/// Counts lines between two points, for each level.
pub(crate) fn line_rates(
    query: &LineQuery,
    screen: &Screen<'_>,
    times: Times,
) -> Vec<(String, Vec<Option<f64>>)> {
    let mut search = search(query.lines(), screen, 1);
    // A bar counts the lines before its point.
    search.from = (times.start - times.step) * 1000;
    search.until = times.end * 1000;
    let counts = read(screen.console.lines()).counts(&search, times.step * 1000);
    let of_level = |(index, level): (usize, &Level)| {
        let count = |steps: &[u64; crate::store::lines::LEVELS]| steps[index] as f64;
        let mut values: Vec<Option<f64>> = counts.steps.iter().map(|steps| Some(count(steps))).collect();
        values.resize(times.count(), Some(0.0));
        (level.as_str().to_owned(), values)
    };
    let all = Level::ALL.iter().enumerate().map(of_level);
    all.filter(|(_, values)| values.iter().flatten().any(|count| *count > 0.0)).collect()
}
