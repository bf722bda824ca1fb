//! Pages about alerts: all of them, and one with its history and its section of the runbook.

mod definitions;
mod detail;
mod lines;
mod links;
mod list;
mod marks;
mod prose;
mod timeline;

use axum::Router;
use axum::routing::get;

use crate::state::SharedConsole;

pub(super) use lines::parameters_of;

/// Serves both pages.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/alerts", get(list::list)).route("/alerts/{name}", get(detail::detail))
}
