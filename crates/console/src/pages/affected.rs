//! The page Who is affected: users and organizations that met a failure, counted from log lines. Metrics have
//! no ids, so they cannot answer this.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use signal::{ClosedSet, Level};

use super::choices::add_environment;
use super::layout::Layout;
use super::logs::LogFilter;
use super::nothing::{self, Nothing};
use super::problem::Problem;
use super::view::View;
use super::{alerts, environment, respond, words};
use crate::state::{Console, SharedConsole, read};
use crate::store::lines::{Groups, Search};

/// Number of listed ids.
const MOST: usize = 20;

/// Fields that identify who is affected: name, singular noun, heading.
const WHO: [(&str, &str, &str); 3] = [
    ("organization.id", "organization", "Organizations"),
    ("user.id", "user", "Users"),
    ("workspace.id", "workspace", "Workspaces"),
];
/// Fields that describe the failure: name and heading.
const WHAT: [(&str, &str); 4] =
    [("http.route", "Routes"), ("error.type", "Errors"), ("error.cause", "Causes"), ("job.kind", "Jobs")];

#[derive(Template)]
#[template(path = "affected.html")]
struct Affected {
    layout: Layout,
    sentence: String,
    class: &'static str,
    route: String,
    levels: Vec<(&'static str, bool)>,
    kept: Vec<(String, String)>,
    tables: Vec<Table>,
    lines_address: String,
    nothing: Nothing,
    is_empty: bool,
}

/// The values of a field with their numbers of lines.
struct Table {
    heading: &'static str,
    note: String,
    rows: Vec<TableRow>,
}

struct TableRow {
    value: String,
    count: String,
    share: String,
    address: String,
}

/// Serves the page.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/affected", get(affected))
}

async fn affected(State(console): State<SharedConsole>, view: View) -> Response {
    respond(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<Affected, Problem> {
    let alert = view.parameter("alert");
    // Parameters of the address come first, so they replace a level or an outcome of the alert.
    let lines_view = match alert {
        Some(name) => view.extended("alert", alerts::parameters_of(name)?),
        None => view.clone(),
    };
    let mut filter = LogFilter::read(&lines_view)?;
    let level = least_level(&mut filter);
    let range = view.range_or("1h");
    let mut search = Search::new(range.from * 1000, range.until * 1000 + 1000);
    search.conditions = filter.conditions();
    search.conditions.extend(environment::of_lines(console, view));
    let (who, what, oldest) = {
        let lines = read(console.lines());
        let groups = |field: &str| lines.groups(&search, field, MOST);
        (WHO.map(|(field, ..)| groups(field)), WHAT.map(|(field, _)| groups(field)), lines.oldest())
    };
    let total = who[0].lines;
    let condition = condition(&filter);
    let lines_address = |name: &str, value: &str| narrowed(&lines_view, "/logs", level, name, value);
    let link = |field: &str, value: &str| match WHO.iter().any(|(known, ..)| *known == field) {
        true => lines_address("id", value),
        false => narrowed(view, "/affected", level, "where", &format!("{field}:{value}")),
    };
    let mut tables: Vec<Table> = Vec::new();
    for ((field, noun, heading), groups) in WHO.iter().zip(&who) {
        tables.push(table(heading, field, groups, &link, note(groups, noun)));
    }
    for ((field, heading), groups) in WHAT.iter().zip(&what).filter(|(_, groups)| groups.distinct > 0) {
        tables.push(table(heading, field, groups, &link, String::new()));
    }
    let layout = Layout::new("Who is affected", view, console).with_range(view, range);
    let layout = add_environment(layout, console, view);
    let layout = match alert {
        Some(name) => layout.described(&format!("By what the alert {name} is about.")),
        None => layout,
    };
    Ok(Affected {
        layout,
        sentence: sentence(total, &who, &condition, &range.text()),
        class: if total > 0 { "bad" } else { "good" },
        route: filter.routes.first().cloned().unwrap_or_default(),
        levels: Level::ALL.iter().map(|known| (known.as_str(), level == Some(*known))).collect(),
        kept: kept(view),
        tables,
        lines_address: lines_address("before", ""),
        nothing: Nothing {
            searched: format!("No line {condition} in {}.", range.text()),
            since: nothing::since("lines", oldest.map(|at| at / 1000), view.now),
            suggestions: vec![
                (
                    "Search the last day".to_owned(),
                    view.with(&[("from", ""), ("until", ""), ("range", "24h")]),
                ),
                ("Include warnings".to_owned(), view.with(&[("level", "warn")])),
                ("See all lines".to_owned(), view.link("/logs", &[])),
            ],
        },
        is_empty: total == 0,
    })
}

/// Returns the lowest level to count. If the only condition is a route, it counts failed requests.
fn least_level(filter: &mut LogFilter) -> Option<Level> {
    let route_only = LogFilter { routes: filter.routes.clone(), ..LogFilter::default() };
    if *filter == route_only {
        filter.level = Some(Level::Error);
        filter.events = vec![signal::events::SERVER_REQUEST.to_owned()];
    }
    filter.level
}

/// Returns the address of a page with the present conditions and one more.
fn narrowed(view: &View, path: &str, level: Option<Level>, name: &str, value: &str) -> String {
    let kept = view.parameters().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let kept = kept.filter(|(known, known_value)| {
        *known != "level"
            && *known != "before"
            && (*known, *known_value) != (name, value)
            && !(*known == "id" && name == "id")
    });
    super::view::address(
        path,
        kept.chain([("level", level.map_or("", |level| level.as_str())), (name, value)]),
    )
}

fn kept(view: &View) -> Vec<(String, String)> {
    let is_field = |name: &str| ["route", "level", "before"].contains(&name);
    view.parameters().iter().filter(|(name, _)| !is_field(name)).cloned().collect()
}

fn condition(filter: &LogFilter) -> String {
    let mut parts = Vec::new();
    parts.extend(filter.level.map(|level| format!("of at least level {}", level.as_str())));
    parts.extend(filter.routes.iter().map(|route| format!("on route {route}")));
    parts.extend(filter.events.iter().map(|event| format!("of event {event}")));
    if !filter.outcome.is_empty() {
        parts.push(format!("with outcome {}", filter.outcome));
    }
    parts.extend(filter.fields.iter().map(|(name, value)| format!("with {name} {value}")));
    parts.extend(filter.id.as_ref().map(|id| format!("with id {id}")));
    if !filter.text.is_empty() {
        parts.push(format!("containing {}", filter.text));
    }
    parts.join(", ")
}

fn sentence(total: u64, who: &[Groups; 3], condition: &str, range: &str) -> String {
    if total == 0 {
        return format!("Nobody: no line {condition} in {range}.");
    }
    let count = |groups: &Groups, noun: &str| {
        let least = if groups.is_capped { "at least " } else { "" };
        format!("{least}{}", words::counted(groups.distinct as u64, noun))
    };
    let lines = words::counted(total, "line");
    format!(
        "{} and {} met {lines} {condition} in {range}.",
        count(&who[0], "organization"),
        count(&who[1], "user")
    )
}

/// Returns the number of lines without a user, such as requests without a session.
fn note(groups: &Groups, noun: &str) -> String {
    let mut notes = Vec::new();
    if groups.distinct > groups.top.len() {
        notes.push(format!(
            "The {} most affected of {}.",
            groups.top.len(),
            words::count(groups.distinct as u64)
        ));
    }
    let without = groups.lines - groups.with_field;
    if without > 0 {
        notes.push(format!("{} without {noun}.", words::counted(without, "line")));
    }
    notes.join(" ")
}

fn table(
    heading: &'static str,
    field: &str,
    groups: &Groups,
    link: &dyn Fn(&str, &str) -> String,
    note: String,
) -> Table {
    let most = groups.top.first().map_or(1, |(_, count)| *count).max(1);
    let row = |(value, count): &(String, u64)| TableRow {
        address: link(field, value),
        value: value.clone(),
        count: words::count(*count),
        share: format!("{:.1}%", *count as f64 / most as f64 * 100.0),
    };
    Table { heading, note, rows: groups.top.iter().map(row).collect() }
}
