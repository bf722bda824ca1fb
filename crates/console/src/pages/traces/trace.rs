//! The page of one trace: a waterfall of its spans and lines, with its causes and effects.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::list::microseconds;
use super::rows::{Entry, MOST_SPANS, rows, waterfall};
use super::summary::{Effects, sentences};
use crate::calendar;
use crate::pages::identifiers;
use crate::pages::layout::Layout;
use crate::pages::line_view::precise;
use crate::pages::nothing::{self, Nothing};
use crate::pages::problem::Problem;
use crate::pages::view::View;
use crate::pages::{respond, words};
use crate::state::{Console, SharedConsole, read};
use crate::store::lines::{Line, LineCondition, Search, TRACE_ID};
use crate::store::spans::{Span, TraceId};

/// Maximum number of lines on the page of a trace.
const MOST_LINES: usize = 300;
/// Maximum number of other traces on each side.
const MOST_OTHERS: usize = 50;

#[derive(Template)]
#[template(path = "trace.html")]
struct Trace {
    layout: Layout,
    id: String,
    is_failed: bool,
    sentence: String,
    details: String,
    facts: Vec<(&'static str, String)>,
    ticks: Vec<(String, String)>,
    entries: Vec<Entry>,
    left_out: String,
    causes: Vec<Other>,
    effects: Vec<Other>,
    nothing: Nothing,
    request: String,
    lines_address: String,
}

/// The operation at the other end of a link.
pub(crate) struct Other {
    /// Its name; the id of its trace if the store does not have it.
    pub(crate) name: String,
    /// Start time for people; can be empty.
    pub(crate) time: String,
    /// Duration for people; can be empty.
    pub(crate) duration: String,
    pub(crate) outcome: String,
    /// If true, it failed.
    pub(crate) failed: bool,
    /// Address of its trace.
    pub(crate) address: String,
}

pub(super) async fn trace(
    State(console): State<SharedConsole>,
    Path(id): Path<String>,
    view: View,
) -> Response {
    respond(console, view, move |console, view| render(console, view, &id)).await
}

fn render(console: &Console, view: &View, id: &str) -> Result<Trace, Problem> {
    let id = identifiers::trace(id)?;
    let (spans, linked, causes, oldest) = {
        let store = read(console.spans());
        let spans = store.trace(id);
        let others = spans.iter().flat_map(|span| &span.links).map(|link| link.trace_id);
        let mut others: Vec<TraceId> = others.filter(|other| *other != id).collect();
        others.dedup();
        let causes: Vec<(TraceId, Vec<Span>)> =
            others.into_iter().take(MOST_OTHERS).map(|other| (other, store.trace(other))).collect();
        (spans, store.linked_from(id), causes, store.oldest())
    };
    let lines = lines_of(console, id);
    let own: Vec<Line> =
        lines.iter().filter(|line| line.text(TRACE_ID) == *id.to_string()).cloned().collect();
    let layout = Layout::new(&title(&spans, &own), view, console);
    let effects = Effects { runs: linked.len(), failed: linked.iter().filter(|span| span.failed).count() };
    let fall = waterfall(&spans);
    let root = fall.rows.first().map(|row| &spans[row.span]);
    let (sentence, details) = root.map(|root| sentences(&spans, root, effects)).unwrap_or_default();
    let cause = |(other, spans): &(TraceId, Vec<Span>)| cause(*other, spans, view);
    let left_out = spans.len().saturating_sub(MOST_SPANS) as u64;
    Ok(Trace {
        id: id.to_string(),
        is_failed: spans.iter().any(|span| span.failed),
        sentence,
        details,
        facts: root.map(|root| facts(&spans, root, own.len())).unwrap_or_default(),
        ticks: fall
            .ticks()
            .into_iter()
            .map(|(left, at)| (format!("{left:.3}%"), words::duration(at)))
            .collect(),
        entries: rows(&spans, &own, &fall, view),
        left_out: if left_out > 0 { words::counted(left_out, "span") } else { String::new() },
        causes: causes.iter().map(cause).collect(),
        effects: linked.iter().take(MOST_OTHERS).map(|span| other(span, view)).collect(),
        nothing: nothing_found(id, oldest, own.is_empty(), view),
        request: view.link(&format!("/requests/{id}"), &[]),
        lines_address: view.link("/logs", &[("id", id.to_string().as_str()), ("route", "")]),
        layout,
    })
}

/// Returns the lines of a trace and of the jobs that it caused, oldest first.
pub(crate) fn lines_of(console: &Console, id: TraceId) -> Vec<Line> {
    let search = Search::new(i64::MIN, i64::MAX).with(LineCondition::Trace(id.to_string()));
    let mut found = read(console.lines()).search(&Search { most: MOST_LINES, ..search });
    found.reverse();
    found.into_iter().map(|found| found.line).collect()
}

fn title(spans: &[Span], lines: &[Line]) -> String {
    let root = spans.iter().find(|span| span.parent.is_none()).or(spans.first());
    match (root, lines.last()) {
        (Some(root), _) => root.name.to_string(),
        (None, Some(line)) => line.event.to_string(),
        (None, None) => "Trace".to_owned(),
    }
}

fn facts(spans: &[Span], root: &Span, lines: usize) -> Vec<(&'static str, String)> {
    let start = spans.iter().map(|span| span.start_ns).min().unwrap_or(root.start_ns);
    let end = spans.iter().map(|span| span.end_ns).max().unwrap_or(root.end_ns);
    let failed = spans.iter().filter(|span| span.failed).count() as u64;
    let mut services: Vec<String> = spans.iter().map(|span| span.service.to_string()).collect();
    services.sort();
    services.dedup();
    let mut facts = vec![
        ("Began", format!("{} UTC", precise(microseconds(start)))),
        ("Took", words::duration(end.saturating_sub(start))),
        ("Spans", words::count(spans.len() as u64)),
        ("Lines", words::count(lines as u64)),
        ("Process", words::list(&services)),
    ];
    if failed > 0 {
        facts.insert(2, ("Failed", words::counted(failed, "span")));
    }
    facts
}

fn cause(id: TraceId, spans: &[Span], view: &View) -> Other {
    match spans.iter().find(|span| span.parent.is_none()).or(spans.first()) {
        Some(root) => other(root, view),
        None => Other {
            name: id.to_string(),
            time: String::new(),
            duration: String::new(),
            outcome: "not kept".to_owned(),
            failed: false,
            address: view.link(&format!("/requests/{id}"), &[]),
        },
    }
}

/// Prepares an operation of another trace.
pub(crate) fn other(span: &Span, view: &View) -> Other {
    let values =
        ["http.response.status_code", "outcome", "error.type"].map(|name| span.text(name).into_owned());
    Other {
        name: span.name.to_string(),
        time: calendar::date_and_time(microseconds(span.start_ns) / 1000),
        duration: words::duration(span.duration_ns()),
        outcome: values.into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>().join(" "),
        failed: span.failed,
        address: view.link(&format!("/traces/{}", span.trace_id), &[]),
    }
}

fn nothing_found(id: TraceId, oldest: Option<u64>, no_lines: bool, view: &View) -> Nothing {
    let mut since = nothing::since("spans", oldest.map(|at| microseconds(at) / 1000), view.now);
    if !no_lines {
        since.push_str(
            " Its lines are kept longer, and stand below. A sampled deployment has no spans of most \
             requests.",
        );
    }
    let id = id.to_string();
    Nothing {
        searched: format!("No span of the trace {id} is kept."),
        since,
        suggestions: vec![
            ("Search its lines".to_owned(), view.link("/logs", &[("id", &id), ("route", "")])),
            ("What is known about the request".to_owned(), view.link(&format!("/requests/{id}"), &[])),
        ],
    }
}
