//! The page with the traces of a search.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use catalogue::labels::JobKind;
use signal::ClosedSet;

use super::filter::{KINDS, TraceFilter};
use super::scatter::{Scatter, duration};
use crate::calendar;
use crate::pages::choices::add_environment;
use crate::pages::identifiers::{self, Identifier};
use crate::pages::layout::Layout;
use crate::pages::line_view::{class_of_status, precise};
use crate::pages::nothing::{self, Nothing};
use crate::pages::problem::Problem;
use crate::pages::range::TimeRange;
use crate::pages::view::View;
use crate::pages::{environment, respond, words};
use crate::state::{Console, SharedConsole, read};
use crate::store::spans::{SpanSearch, TracePosition, TraceSummary};

/// Number of traces of a page.
const PAGE: usize = 100;
/// Number of traces in the plot.
const POINTS: usize = 400;
/// Number of newest traces among which the slowest are found.
const CANDIDATES: usize = 2000;

#[derive(Template)]
#[template(path = "traces.html")]
struct Traces {
    layout: Layout,
    filter: TraceFilter,
    kinds: Vec<(&'static str, &'static str, bool)>,
    jobs: Vec<(&'static str, bool)>,
    kept: Vec<(String, String)>,
    scatter: Scatter,
    traces: Vec<TraceRow>,
    sentence: String,
    nothing: Nothing,
    /// Address of older traces; empty if there are none.
    older: String,
    /// Address of the newest traces; empty if they are shown.
    newest: String,
    /// Address and name of the other sort order.
    other_order: (String, &'static str),
    clear: String,
}

/// A trace in the list.
struct TraceRow {
    address: String,
    time: String,
    machine_time: String,
    name: String,
    service: String,
    duration: String,
    /// Length of the bar, in percent of the longest.
    bar: String,
    spans: String,
    failed_spans: usize,
    status: String,
    status_class: &'static str,
    error: String,
    /// The span that the search found, if it is not the first.
    found: String,
}

pub(super) async fn traces(State(console): State<SharedConsole>, view: View) -> Response {
    if let Some(Identifier::Trace(trace)) = view.parameter("id").and_then(|id| Identifier::parse(id).ok()) {
        return Redirect::to(&view.link(&format!("/traces/{trace}"), &[])).into_response();
    }
    respond(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<Traces, Problem> {
    let filter = TraceFilter::read(view)?;
    let range = view.range_or("1h");
    let (from, until) = (nanoseconds(range.from), nanoseconds(range.until));
    let before = view.parameter("before").map(position).transpose()?;
    let most = if filter.slowest_first { CANDIDATES } else { POINTS };
    let mut conditions = filter.conditions();
    conditions.extend(environment::of_spans(console, view));
    let search = SpanSearch { conditions, most, before, ..SpanSearch::new(from, until) };
    let (mut found, oldest) = {
        let spans = read(console.spans());
        (spans.search(&search), spans.oldest())
    };
    let is_all = found.len() < most;
    let searched = found.len();
    if filter.slowest_first {
        found.sort_by_key(|trace| std::cmp::Reverse(duration(trace)));
    }
    let address = |trace: &TraceSummary| view.link(&format!("/traces/{}", trace.trace_id), &[]);
    let scatter = Scatter::new(&found[..found.len().min(POINTS)], from, until, address);
    let has_more = found.len() > PAGE;
    found.truncate(PAGE);
    let cursor = |trace: &TraceSummary| format!("{}-{}", trace.position.start_ns, trace.trace_id);
    let older = found.last().filter(|_| has_more && !filter.slowest_first);
    let older = older.map(|last| view.with(&[("before", &cursor(last))])).unwrap_or_default();
    let longest = found.iter().map(duration).max().unwrap_or(1).max(1);
    let layout = Layout::new("Traces", view, console).with_range(view, range);
    Ok(Traces {
        layout: add_environment(layout, console, view),
        kinds: KINDS.map(|(name, text, kind)| (name, text, filter.kind == Some(kind))).into(),
        jobs: JobKind::ALL.iter().map(|kind| (kind.as_str(), filter.job == kind.as_str())).collect(),
        kept: kept(view),
        scatter,
        sentence: sentence(found.len(), searched, is_all, &filter, &range.text()),
        nothing: nothing_found(console, &filter, view, &range, oldest),
        traces: found.iter().map(|trace| row(trace, longest, address(trace))).collect(),
        older,
        newest: before.map(|_| view.with(&[("before", "")])).unwrap_or_default(),
        other_order: match filter.slowest_first {
            true => (view.with(&[("sort", ""), ("before", "")]), "Newest first"),
            false => (view.with(&[("sort", "slowest"), ("before", "")]), "Slowest first"),
        },
        clear: view.link("/traces", &[("route", ""), ("instance", "")]),
        filter,
    })
}

fn nanoseconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds).unwrap_or(0).saturating_mul(1_000_000)
}

/// Reads a position: Unix nanoseconds and the id of the trace.
fn position(text: &str) -> Result<TracePosition, Problem> {
    let parts = text.split_once('-');
    let position = parts.and_then(|(start, trace)| {
        Some(TracePosition { start_ns: start.parse().ok()?, trace_id: identifiers::trace(trace).ok()? })
    });
    position.ok_or_else(|| {
        Problem::bad_request(format!("before={text} is no position among the traces."))
            .hint("Start with the newest traces, and follow the link to older ones at the end of the page.")
    })
}

/// Returns the parameters that have no field in the form.
fn kept(view: &View) -> Vec<(String, String)> {
    const FIELDS: [&str; 7] = ["route", "job", "kind", "least", "failed", "id", "before"];
    view.parameters().iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())).cloned().collect()
}

fn row(trace: &TraceSummary, longest: u64, address: String) -> TraceRow {
    let attribute = |name: &str| {
        let found = trace.root.attributes.iter().find(|(key, _)| &**key == name);
        found.map(|(_, value)| value.text().into_owned()).unwrap_or_default()
    };
    let status = attribute("http.response.status_code");
    let outcome = attribute("outcome");
    let is_other = trace.found.span_id != trace.root.span_id && trace.found_spans < trace.spans;
    TraceRow {
        address,
        time: precise(microseconds(trace.start_ns)),
        machine_time: calendar::for_machines(microseconds(trace.start_ns) / 1000),
        name: trace.root.name.to_string(),
        service: trace.root.service.to_string(),
        duration: words::duration(duration(trace)),
        bar: format!("{:.2}%", (duration(trace) as f64 / longest as f64 * 100.0).max(0.5)),
        spans: words::count(trace.spans as u64),
        failed_spans: trace.failed_spans,
        status_class: if status.is_empty() { "soft" } else { class_of_status(&status) },
        status: if status.is_empty() { outcome } else { status },
        error: attribute("error.type"),
        found: match is_other {
            true => format!("{} {}", trace.found.name, words::duration(trace.found.duration_ns)),
            false => String::new(),
        },
    }
}

/// Converts Unix nanoseconds to Unix microseconds.
pub(super) fn microseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1000).unwrap_or(i64::MAX)
}

fn sentence(shown: usize, searched: usize, is_all: bool, filter: &TraceFilter, range: &str) -> String {
    let searched_text = words::counted(searched as u64, "trace");
    match (filter.slowest_first, is_all) {
        (false, true) if shown == searched => format!("{searched_text} in {range}, newest first."),
        (false, true) => format!("{searched_text} in {range}. These are the newest {shown}."),
        (false, false) => format!("More than {searched_text} in {range}. These are the newest {shown}."),
        (true, true) if shown == searched => format!("{searched_text} in {range}, slowest first."),
        (true, true) => format!("The slowest {shown} of {searched_text} in {range}."),
        (true, false) => format!("The slowest {shown} of the newest {searched_text} in {range}."),
    }
}

fn nothing_found(
    console: &Console,
    filter: &TraceFilter,
    view: &View,
    range: &TimeRange,
    oldest: Option<u64>,
) -> Nothing {
    let (from, until) = (range.from, range.until);
    let conditions = filter.words();
    let with =
        if conditions.is_empty() { String::new() } else { format!(" with {}", words::list(&conditions)) };
    let oldest = oldest.map(|nanoseconds| microseconds(nanoseconds) / 1000);
    let mut suggestions = Vec::new();
    if !conditions.is_empty() {
        suggestions
            .push(("Search all traces of the range".to_owned(), view.link("/traces", &[("route", "")])));
    }
    if oldest.is_some_and(|oldest| oldest < from) {
        let longer = view.with(&[("from", ""), ("until", ""), ("before", ""), ("range", "2d")]);
        suggestions.push(("Search two days".to_owned(), longer));
    }
    suggestions.extend(environment::suggestion(console, view));
    suggestions.push(("Search the lines instead".to_owned(), view.link("/logs", &[])));
    let times = format!("{} and {} UTC", calendar::date_and_time(from), calendar::date_and_time(until));
    Nothing {
        searched: format!("No trace{with} started between {times}."),
        since: nothing::since("spans", oldest, view.now),
        suggestions,
    }
}
