//! Organizations and their members.

pub mod members;
pub mod routes;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(routes::router()).merge(members::router())
}
