//! The page with the lines of a search, newest first.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use signal::{ClosedSet, Level};

use super::filter::{self, ActivePart, LogFilter};
use super::histogram::{Histogram, step_of};
use crate::calendar;
use crate::pages::choices::add_environment;
use crate::pages::environment;
use crate::pages::layout::Layout;
use crate::pages::line_view::LineView;
use crate::pages::nothing::{self, Nothing};
use crate::pages::problem::Problem;
use crate::pages::range::TimeRange;
use crate::pages::view::View;
use crate::pages::{respond, words};
use crate::state::{Console, SharedConsole, read};
use crate::store::lines::{Found, Position, Search};

/// Number of lines of a page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "logs.html")]
struct Logs {
    layout: Layout,
    filter: LogFilter,
    /// Levels, and whether each is the selected minimum.
    levels: Vec<(&'static str, bool)>,
    /// Outcomes, and whether each is selected.
    outcomes: Vec<(&'static str, bool)>,
    events: Vec<&'static str>,
    /// Parameters that the form keeps.
    kept: Vec<(String, String)>,
    active: Vec<ActivePart>,
    histogram: Histogram,
    lines: Vec<LineView>,
    sentence: String,
    nothing: Nothing,
    /// Address of older lines; empty if there are none.
    older: String,
    /// Address of the newest lines; empty if they are shown.
    newest: String,
    /// Address of this search with its newest lines.
    here: String,
    /// Address of the stream of new lines.
    tail: String,
    /// Address of the search without any filter.
    clear: String,
}

pub(super) async fn logs(State(console): State<SharedConsole>, view: View) -> Response {
    respond(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<Logs, Problem> {
    let filter = LogFilter::read(view)?;
    let range = view.range_or("1h");
    let before = view.parameter("before").map(position).transpose()?;
    let mut search = Search::new(range.from * 1000, range.until * 1000 + 1000);
    search.conditions = filter.conditions();
    search.conditions.extend(environment::of_lines(console, view));
    let (counts, found, oldest) = {
        let lines = read(console.lines());
        let counts = lines.counts(&search, step_of(range.length() * 1000));
        let found = lines.search(&Search { most: PAGE + 1, before, ..search });
        (counts, found, lines.oldest())
    };
    let histogram = Histogram::new(&counts, view);
    let has_more = found.len() > PAGE;
    let shown = &found[..found.len().min(PAGE)];
    let active = filter.active(view);
    let cursor = |found: &Found| format!("{}-{}", found.position.at, found.position.number);
    let older = shown.last().filter(|_| has_more).map(|last| view.with(&[("before", &cursor(last))]));
    let oldest = oldest.map(|at| at / 1000);
    let layout = Layout::new("Logs", view, console).with_range(view, range);
    let layout = add_environment(layout, console, view);
    Ok(Logs {
        layout,
        levels: Level::ALL.iter().map(|level| (level.as_str(), filter.level == Some(*level))).collect(),
        outcomes: filter::outcomes().into_iter().map(|name| (name, filter.outcome == name)).collect(),
        events: filter::events().into_iter().collect(),
        kept: kept(view),
        sentence: sentence(&histogram, shown, &range, before.is_some()),
        nothing: nothing_found(console, &active, oldest, view, &range),
        active,
        histogram,
        lines: shown.iter().map(|found| LineView::new(&found.line, view)).collect(),
        older: older.unwrap_or_default(),
        newest: before.map(|_| view.with(&[("before", "")])).unwrap_or_default(),
        here: view.with(&[("before", "")]),
        tail: tail_address(view),
        clear: view.link("/logs", &[("route", ""), ("instance", "")]),
        filter,
    })
}

/// Returns the parameters that have no field in the form.
fn kept(view: &View) -> Vec<(String, String)> {
    const FIELDS: [&str; 7] = ["text", "level", "event", "route", "outcome", "id", "before"];
    view.parameters().iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())).cloned().collect()
}

fn tail_address(view: &View) -> String {
    let parameters = view.parameters().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let is_range = |name: &str| ["range", "from", "until", "before", "refresh"].contains(&name);
    crate::pages::view::address("/logs/tail", parameters.filter(|(name, _)| !is_range(name)))
}

/// Reads a position: Unix microseconds and the number of the line.
fn position(text: &str) -> Result<Position, Problem> {
    let parts = text.split_once('-');
    let position =
        parts.and_then(|(at, number)| Some(Position { at: at.parse().ok()?, number: number.parse().ok()? }));
    position.ok_or_else(|| {
        Problem::bad_request(format!("before={text} is no position in the log."))
            .hint("Start with the newest lines, and follow the link to older ones at the end of the page.")
    })
}

fn sentence(histogram: &Histogram, shown: &[Found], range: &TimeRange, continues: bool) -> String {
    let total = words::counted(histogram.total, "line");
    let in_range = match range.name {
        Some(_) => format!("in {}", range.text()),
        None => format!("from {}", range.text()),
    };
    match (shown.len() as u64, continues) {
        (count, false) if count == histogram.total => format!("{total} {in_range}, newest first."),
        (count, false) => format!("{total} {in_range}. These are the newest {count}."),
        (count, true) => format!("{total} {in_range}. These are the next {count}."),
    }
}

fn nothing_found(
    console: &Console,
    active: &[ActivePart],
    oldest: Option<i64>,
    view: &View,
    range: &TimeRange,
) -> Nothing {
    let parts: Vec<String> = active.iter().map(|part| format!("{} {}", part.name, part.value)).collect();
    let of = if parts.is_empty() { String::new() } else { format!(" with {}", words::list(&parts)) };
    let mut suggestions = Vec::new();
    if let Some(oldest) = oldest.filter(|oldest| *oldest < range.from || *oldest >= range.until) {
        let address = view.with(&[
            ("range", ""),
            ("from", calendar::for_field((oldest - 60_000).max(view.now - 30 * 86_400_000)).as_str()),
            ("until", ""),
            ("before", ""),
        ]);
        suggestions.push(("Search everything that is kept".to_owned(), address));
    }
    suggestions.extend(
        active
            .iter()
            .map(|part| (format!("Search without {} {}", part.name, part.value), part.without.clone())),
    );
    suggestions.extend(environment::suggestion(console, view));
    if suggestions.is_empty() {
        suggestions.push(("See which log files are followed".to_owned(), "/about".to_owned()));
    }
    Nothing {
        searched: format!("No line{of} between {}.", calendar_range(range)),
        since: nothing::since("lines", oldest, view.now),
        suggestions,
    }
}

fn calendar_range(range: &TimeRange) -> String {
    format!("{} and {} UTC", calendar::date_and_time(range.from), calendar::date_and_time(range.until))
}
