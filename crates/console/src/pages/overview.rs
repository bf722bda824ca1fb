//! Healthy or not, in one sentence with the reason; then what fires, and the overview dashboard.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::answer::answer;
use super::layout::Layout;
use super::problem::Problem;
use super::view::View;
use crate::calendar;
use crate::state::{Console, SharedConsole};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    layout: Layout,
    verdict: Verdict,
    facts: Vec<(&'static str, String)>,
}

/// The state of the whole system in one sentence.
struct Verdict {
    /// `good`, `warning`, `bad` or `unknown`.
    class: &'static str,
    sentence: String,
    reason: String,
}

/// Serves the overview.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/", get(overview))
}

async fn overview(State(console): State<SharedConsole>, view: View) -> Response {
    answer(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<Overview, Problem> {
    let facts = console.facts();
    let range = view.range_or("6h");
    let verdict = Verdict {
        class: "unknown",
        sentence: "Nothing has reported yet.".to_owned(),
        reason: format!("Send metrics and traces by OTLP over HTTP to {}.", facts.otlp_address),
    };
    let facts = vec![
        ("Receives at", facts.otlp_address.clone()),
        ("Follows", if facts.logs.is_empty() { "no log files".to_owned() } else { facts.logs.join(", ") }),
        ("Notifies", facts.alertmanager.clone().unwrap_or_else(|| "nobody".to_owned())),
        ("Runs for", calendar::duration(view.now - facts.started_at)),
    ];
    let layout = Layout::new("Overview", view, console).with_range(view, range).with_refresh(view, 30);
    Ok(Overview { layout, verdict, facts })
}
