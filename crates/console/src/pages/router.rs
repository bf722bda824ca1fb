//! The routes of all pages.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tower_http::timeout::TimeoutLayer;

use super::compress::compress;
use super::problem::Problem;
use super::security::{add_headers, guard};
use super::view::View;
use super::{about, affected, alerts, assets, dashboards, logs, overview, requests, traces};
use crate::state::SharedConsole;

/// Maximum time for a page, including the wait for a permit to render. A live tail is a stream, whose headers
/// are sent at once.
const DEADLINE: Duration = Duration::from_secs(30);

/// Builds the service of the pages.
pub fn router(console: SharedConsole) -> Router {
    Router::new()
        .merge(overview::routes())
        .merge(dashboards::routes())
        .merge(alerts::routes())
        .merge(logs::routes())
        .merge(traces::routes())
        .merge(requests::routes())
        .merge(affected::routes())
        .merge(about::routes())
        .merge(assets::routes())
        .route("/health/live", get(|| async { "live\n" }))
        // `socialize healthcheck` requests this one.
        .route("/health/ready", get(|| async { "ready\n" }))
        .fallback(missing)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, DEADLINE))
        .layer(from_fn_with_state(SharedConsole::clone(&console), guard))
        .layer(from_fn(compress))
        .layer(from_fn(add_headers))
        .with_state(console)
}

async fn missing(State(console): State<SharedConsole>, view: View) -> Response {
    Problem::not_found(format!("There is no page {}.", view.path))
        .hint("The navigation lists all pages.")
        .respond(&view, &console)
}
