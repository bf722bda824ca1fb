//! The page Overview: the health of the system in one sentence, firing alerts, and the overview dashboard.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::choices::{add_choices, chosen};
use super::dashboard_list::named;
use super::dashboards::{BandView, Screen, bands};
use super::health::{FiringAlert, Verdict, firing, verdict};
use super::layout::Layout;
use super::problem::Problem;
use super::respond::respond;
use super::view::View;
use crate::state::{Console, SharedConsole};

/// Seconds between two refreshes.
const REFRESH: u32 = 30;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    layout: Layout,
    verdict: Verdict,
    firing: Vec<FiringAlert>,
    bands: Vec<BandView>,
}

/// Serves the overview.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/", get(overview))
}

async fn overview(State(console): State<SharedConsole>, view: View) -> Response {
    respond(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<Overview, Problem> {
    let dashboard =
        named("overview").ok_or_else(|| Problem::internal("The overview dashboard is missing."))?;
    let chosen = chosen(console, view, dashboard.choices);
    let path = "/dashboards/overview".to_owned();
    let screen = Screen::new(console, view, view.range_or("6h"), dashboard.choices, chosen.clone(), path);
    let firing = firing(&screen);
    let verdict = verdict(&screen, &firing);
    let bands = bands(dashboard, &screen);
    let layout =
        Layout::new("Overview", view, console).with_range(view, screen.range).with_refresh(view, REFRESH);
    drop(screen);
    Ok(Overview { layout: add_choices(layout, console, dashboard.choices, &chosen), verdict, firing, bands })
}
