//! Search for traces, and the waterfall of one.

mod filter;
mod list;
mod rows;
mod scatter;
mod summary;
mod trace;
mod waterfall;

use axum::Router;
use axum::routing::get;

use crate::state::SharedConsole;

pub(super) use filter::parameters;
pub(super) use trace::lines_of;

/// Serves the search and the pages of single traces.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/traces", get(list::traces)).route("/traces/{id}", get(trace::trace))
}
