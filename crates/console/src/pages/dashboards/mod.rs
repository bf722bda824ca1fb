//! The dashboards of `monitoring`, from the same declarations as Grafana's.

mod alerts;
mod body;
mod charts;
mod display;
mod exemplars;
mod logs;
mod nothing;
mod numbers;
mod page;
mod panel;
mod points;
mod screen;
mod table;
mod translate;
mod views;

use axum::Router;
use axum::routing::get;

use crate::state::SharedConsole;

pub(super) use page::{BandView, bands};
pub(super) use screen::Screen;

/// Serves the dashboards and their panels.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new()
        .route("/dashboards", get(page::index))
        .route("/dashboards/{name}", get(page::dashboard))
        .route("/dashboards/{name}/{panel}", get(page::single))
}
