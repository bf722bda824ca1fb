//! The private operations listener: health in detail, metrics, log level, build. It is bound to loopback unless the operator
//! says otherwise, and must never be reachable by users.
//!
//! It has a thread and a runtime of its own, so that it still answers when the runtime that serves users stands still.
//!
//! - `GET /health/live`, `GET /health/ready`, `GET /health`: the verdicts, the last with every dependency; all fail while
//!   the other runtime stands still
//! - `GET /metrics`: every instrument in the Prometheus text format
//! - `GET /log-level`, `PUT /log-level`: which lines are written, changed at once, e.g. `debug` or `info,sqlx=debug`
//! - `GET /build`: version and commit

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use telemetry::health::Readiness;
use telemetry::log::LevelSetting;
use telemetry::prometheus;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::App;
use crate::listener::{End, Services, accept};
use crate::routes::health::{live, ready};
use crate::start::{COMMIT, VERSION};

/// How long the listener, which answers at once, may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Answers on a thread of its own until the sender of `ended` is dropped.
///
/// # Errors
/// When the system refuses the thread or what its runtime needs.
pub(crate) fn listen(
    listener: TcpListener,
    app: App,
    ended: watch::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener.into_std()?)?
    };
    thread::Builder::new().name("operations".to_owned()).spawn(move || {
        let end = End { announced: ended.clone(), closed: ended };
        runtime.block_on(accept(listener, services(app), end, END_LIMIT));
    })
}

/// Everything that the operations listener answers.
fn services(app: App) -> Services<Router> {
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
    Json(json!({"version": VERSION, "commit": COMMIT})).into_response()
}
