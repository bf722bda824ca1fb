//! Health checks for load balancers and container platforms. Details are on the private operations listener
//! only.
//!
//! They are not recorded: frequent probes would hide users' requests.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::app::App;
use crate::platform::version::VERSION;

pub fn router() -> Router<App> {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health", get(both))
}

/// Liveness: the event loop is running, whatever the state of the dependencies.
pub async fn live(State(app): State<App>) -> Response {
    verdict(app.health.live(), false)
}

/// Readiness: requests can be served now.
pub async fn ready(State(app): State<App>) -> Response {
    verdict(app.is_ready(), false)
}

async fn both(State(app): State<App>) -> Response {
    verdict(app.health.live() && app.is_ready(), true)
}

fn verdict(is_well: bool, with_version: bool) -> Response {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if is_well { "pass" } else { "fail" };
    let body =
        if with_version { json!({"status": word, "version": VERSION}) } else { json!({"status": word}) };
    (status, Json(body)).into_response()
}
