//! Search for log lines, with counts over time and a live tail.

mod filter;
mod histogram;
mod page;
mod tail;

use axum::Router;
use axum::routing::get;

use crate::state::SharedConsole;

pub(super) use filter::{LogFilter, parameters};

/// Serves the search and the tail.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/logs", get(page::logs)).route("/logs/tail", get(tail::tail))
}
