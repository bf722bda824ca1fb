//! The private operations listener: health in detail, metrics, log level, build. It is bound to loopback unless the operator
//! says otherwise, and must never be reachable by users.
//!
//! - `GET /health/live`, `GET /health/ready`, `GET /health`: the verdicts, the last with every dependency
//! - `GET /metrics`: every instrument in the Prometheus text format
//! - `GET /log-level`, `PUT /log-level`: which lines are written, changed at once, e.g. `debug` or `info,sqlx=debug`
//! - `GET /build`: version and commit

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use telemetry::health::Readiness;
use telemetry::log::LevelSetting;
use telemetry::prometheus;

use crate::app::App;
use crate::listener::Services;
use crate::routes::health::{live, ready};
use crate::start::VERSION;

/// Everything that the operations listener answers.
pub(crate) fn services(app: App) -> Services<Router> {
    let requests = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health", get(detail))
        .route("/metrics", get(metrics))
        .route("/log-level", get(read_level).put(set_level))
        .route("/build", get(build))
        .with_state(app);
    Services {
        requests,
        headers_too_large: Router::new().fallback(async || StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    }
}

async fn detail(State(app): State<App>) -> Response {
    let is_ready = app.health.ready() == Readiness::Ready;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"version": VERSION, "health": app.health.detail()}))).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    let text = prometheus::render(&app.telemetry.meter().snapshot());
    ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response()
}

async fn read_level(State(app): State<App>) -> String {
    format!("{}\n", app.telemetry.levels().setting())
}

async fn set_level(State(app): State<App>, body: String) -> Response {
    match body.trim().parse::<LevelSetting>() {
        Ok(setting) => {
            app.telemetry.levels().set(setting);
            tracing::event!(name: "log.level.changed", tracing::Level::WARN, log.level = app.telemetry.levels().setting().to_string());
            read_level(State(app)).await.into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
    }
}

async fn build() -> Response {
    let commit = option_env!("SOCIALIZE_COMMIT").unwrap_or("unknown");
    Json(json!({"version": VERSION, "commit": commit})).into_response()
}
