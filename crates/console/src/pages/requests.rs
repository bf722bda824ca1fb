//! The page about one request, whose id a user reported: its result, its user, its durations, the jobs that
//! it caused, and other failures at that time.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use signal::ClosedSet;

use super::identifiers::{self, Identifier};
use super::layout::Layout;
use super::line_view::{self, LineView, class_of_status, precise};
use super::nothing::{self, Nothing};
use super::problem::Problem;
use super::traces::lines_of;
use super::view::View;
use super::{environment, respond, words};
use crate::state::{Console, SharedConsole, read};
use crate::store::ValueTest;
use crate::store::lines::{Line, LineCondition, Search, TRACE_ID};
use crate::store::spans::TraceId;

/// Microseconds before and after a failure in which other failures are counted.
const AROUND: i64 = 30_000_000;
/// Maximum number of listed customers.
const MOST_CUSTOMERS: usize = 5;

#[derive(Template)]
#[template(path = "request.html")]
struct Request {
    layout: Layout,
    id: String,
    class: &'static str,
    sentence: String,
    reason: String,
    facts: Vec<Fact>,
    others: Vec<Others>,
    lines: Vec<LineView>,
    caused: Vec<LineView>,
    trace: String,
    has_spans: bool,
    nothing: Nothing,
}

struct Fact {
    name: &'static str,
    value: String,
    address: String,
}

/// Similar failures at the time of the request.
struct Others {
    sentence: String,
    customers: Vec<(String, String, String)>,
    address: String,
}

/// Serves the pages of single requests, and the form that leads to them.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/requests", get(find)).route("/requests/{id}", get(request))
}

/// Redirects from the form to the page of the id. The id of a user or other object leads to its lines.
async fn find(State(console): State<SharedConsole>, view: View) -> Response {
    match Identifier::parse(view.parameter("id").unwrap_or_default()) {
        Ok(Identifier::Trace(id)) => {
            Redirect::to(&view.link(&format!("/requests/{id}"), &[])).into_response()
        }
        Ok(Identifier::Thing(id)) => Redirect::to(&view.link("/logs", &[("id", &id)])).into_response(),
        Err(error) => Problem::from(error).respond(&view, &console),
    }
}

async fn request(State(console): State<SharedConsole>, Path(id): Path<String>, view: View) -> Response {
    respond(console, view, move |console, view| render(console, view, &id)).await
}

fn render(console: &Console, view: &View, id: &str) -> Result<Request, Problem> {
    let id = identifiers::trace(id)?;
    let lines = lines_of(console, id);
    let (own, caused): (Vec<Line>, Vec<Line>) =
        lines.into_iter().partition(|line| line.text(TRACE_ID) == *id.to_string());
    let main = main_line(&own);
    let has_spans = !read(console.spans()).trace(id).is_empty();
    let shown = |lines: &[Line]| lines.iter().map(|line| LineView::new(line, view)).collect();
    Ok(Request {
        layout: Layout::new("Request", view, console),
        id: id.to_string(),
        class: main.map_or("unknown", class),
        sentence: main.map(sentence).unwrap_or_default(),
        reason: main.map(reason).unwrap_or_default(),
        facts: main.map(|line| facts(line, view)).unwrap_or_default(),
        others: main.map(|line| others(console, line, view)).unwrap_or_default(),
        lines: shown(&own),
        caused: shown(&caused),
        trace: view.link(&format!("/traces/{id}"), &[]),
        has_spans,
        nothing: nothing_found(console, id, has_spans, view),
    })
}

/// Returns the line that records the request; of a trace without a request, the one that records its first
/// operation.
fn main_line(lines: &[Line]) -> Option<&Line> {
    let of = |event: &str| lines.iter().find(|line| *line.event == *event);
    of(signal::events::SERVER_REQUEST).or_else(|| of(catalogue::events::JOB_RUN)).or(lines.last())
}

fn class(line: &Line) -> &'static str {
    let status = line.text("http.response.status_code");
    match (line.level, &*status) {
        (signal::Level::Error | signal::Level::Fatal, _) => "bad",
        (signal::Level::Warn, _) => "warning",
        (_, status) if class_of_status(status) == "warn" => "warning",
        _ => "good",
    }
}

fn sentence(line: &Line) -> String {
    let status = line.text("http.response.status_code");
    let duration = line.field("duration_ms").and_then(|value| value.number());
    let duration = duration.map(|ms| words::duration((ms.max(0.0) * 1e6) as u64));
    let took = duration.map(|text| format!(" after {text}")).unwrap_or_default();
    if *line.event != *signal::events::SERVER_REQUEST {
        let parts = line_view::short_form(line);
        let parts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        return format!("{}: {}.", line.event, parts.join(", "));
    }
    let method = line.text("http.request.method");
    let route = match &*line.text("http.route") {
        "" => "an unknown route".to_owned(),
        route => route.to_owned(),
    };
    match &*status {
        "" => format!("{method} {route} was cancelled by its client{took}."),
        status => format!("{method} {route} answered {status}{took}."),
    }
}

fn reason(line: &Line) -> String {
    let code = line.text("error.code");
    let mut parts = Vec::new();
    if !code.is_empty() {
        parts.push(format!("The user saw the code {code}."));
    }
    match (&*line.text("error.type"), &*line.text("error.cause")) {
        ("", "") => {}
        (kind, "") => parts.push(format!("It failed with {kind}.")),
        (kind, cause) if kind == cause => parts.push(format!("It failed with {kind}.")),
        (kind, cause) => parts.push(format!("It failed with {kind}, caused by {cause}.")),
    }
    let location = line.text("code.location");
    if !location.is_empty() {
        parts.push(format!("The failure was received at {location}."));
    }
    if parts.is_empty() && line.level < signal::Level::Warn {
        parts.push("It succeeded.".to_owned());
    }
    parts.join(" ")
}

fn facts(line: &Line, view: &View) -> Vec<Fact> {
    const SHOWN: [(&str, &str); 15] = [
        ("http.response.status_code", "Status"),
        ("outcome", "Outcome"),
        ("error.code", "Code for the user"),
        ("error.type", "Error"),
        ("error.cause", "Cause"),
        ("code.location", "Place in the source"),
        ("duration_ms", "Duration"),
        ("user.id", "User"),
        ("organization.id", "Organization"),
        ("workspace.id", "Workspace"),
        ("content_item.id", "Content item"),
        ("job.id", "Job"),
        ("job.attempt", "Attempt"),
        ("service.instance.id", "Process"),
        ("network.protocol.version", "HTTP"),
    ];
    let mut facts = vec![Fact {
        name: "Ended",
        value: format!("{} UTC ({})", precise(line.at), words::ago(line.at / 1000, view.now)),
        address: String::new(),
    }];
    for (key, name) in SHOWN {
        let value = line.text(key);
        if value.is_empty() {
            continue;
        }
        let address = match Identifier::parse(&value) {
            Ok(Identifier::Thing(id)) if key.ends_with(".id") => {
                view.link("/logs", &[("id", &id), ("route", "")])
            }
            _ => String::new(),
        };
        facts.push(Fact { name, value: line_view::readable(key, &value), address });
    }
    if let Some(value) = database(line) {
        let position = facts.iter().position(|fact| fact.name == "User").unwrap_or(facts.len());
        facts.insert(position, Fact { name: "Database", value, address: String::new() });
    }
    facts
}

fn database(line: &Line) -> Option<String> {
    let number = |name: &str| line.field(name).and_then(|value| value.number());
    let operations = number("db.operations")?;
    let (part, whole) = (number("db.duration_ms").unwrap_or(0.0), number("duration_ms").unwrap_or(0.0));
    let operations = words::counted(operations.max(0.0) as u64, "operation");
    let duration = words::duration((part.max(0.0) * 1e6) as u64);
    Some(format!("{operations} in {duration} ({})", words::percent(part, whole)))
}

/// Counts failures within a minute: on the same route for the same reason, and all.
fn others(console: &Console, line: &Line, view: &View) -> Vec<Others> {
    if line.level < signal::Level::Warn || *line.event != *signal::events::SERVER_REQUEST {
        return Vec::new();
    }
    let mut at_time = Search::new(line.at - AROUND, line.at + AROUND)
        .with(LineCondition::Event(ValueTest::Is(signal::events::SERVER_REQUEST.to_owned())))
        .with(LineCondition::AtLeast(line.level));
    at_time.conditions.extend(environment::of_lines(console, view));
    let field = |name: &str| {
        let value = line.text(name).into_owned();
        let test = if value.is_empty() { ValueTest::Absent } else { ValueTest::Is(value) };
        LineCondition::Field(name.to_owned(), test)
    };
    let (route, kind) = (line.text("http.route"), line.text("error.type"));
    let alike = at_time.clone().with(field("http.route")).with(field("error.type"));
    let alike_condition = format!("error.type:{kind}");
    let mut more = vec![("event", signal::events::SERVER_REQUEST), ("level", line.level.as_str())];
    let all_address = link(view, line, &more);
    more.push(("route", &route));
    if !kind.is_empty() {
        more.push(("where", &alike_condition));
    }
    let of = |what: &str, search: &Search, address: String| counted(console, what, search, address, view);
    let what =
        if kind.is_empty() { "on this route".to_owned() } else { format!("on this route with {kind}") };
    vec![of(&what, &alike, link(view, line, &more)), of("on any route", &at_time, all_address)]
}

fn link(view: &View, line: &Line, more: &[(&str, &str)]) -> String {
    let mut more = more.to_vec();
    if more.iter().all(|(name, _)| *name != "route") {
        more.push(("route", ""));
    }
    view.link_at("/logs", (line.at - AROUND) / 1000, (line.at + AROUND) / 1000, &more)
}

fn counted(console: &Console, what: &str, search: &Search, address: String, view: &View) -> Others {
    let groups = read(console.lines()).groups(search, "organization.id", MOST_CUSTOMERS);
    let requests = match groups.lines {
        0 | 1 => format!("Only this request failed {what} within the minute around it."),
        lines => format!("{} failed {what} within the minute around it", words::counted(lines, "request")),
    };
    let sentence = match (groups.lines, groups.distinct as u64) {
        (0 | 1, _) => requests,
        (_, 0) => format!("{requests}. None of them names an organization."),
        (_, organizations) => format!("{requests}, from {}.", words::counted(organizations, "organization")),
    };
    let customers = groups.top.into_iter().map(|(id, count)| {
        let address = view.link("/logs", &[("id", &id), ("route", ""), ("level", "warn")]);
        (id, words::count(count), address)
    });
    Others { sentence, customers: if groups.lines > 1 { customers.collect() } else { Vec::new() }, address }
}

fn nothing_found(console: &Console, id: TraceId, has_spans: bool, view: &View) -> Nothing {
    let usage = read(console.lines()).usage();
    let mut since = nothing::since("lines", usage.oldest.map(|at| at / 1000), view.now);
    if usage.evicted > 0 {
        since.push_str(" Older lines are in the log files only.");
    }
    let mut suggestions = vec![("See which log files are followed".to_owned(), view.link("/about", &[]))];
    if has_spans {
        suggestions.insert(0, ("Open its trace".to_owned(), view.link(&format!("/traces/{id}"), &[])));
    }
    Nothing {
        searched: format!("No line of the request {id} is kept."),
        since: format!(
            "{since} Compare the id with what the user sent: it has 32 digits. A request that reached another \
             deployment is not here."
        ),
        suggestions,
    }
}
