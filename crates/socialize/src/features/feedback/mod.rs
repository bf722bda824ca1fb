//! Users' reports to the operators of this installation, with screenshots.

pub mod routes;
pub mod screenshots;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub fn router() -> OpenApiRouter<App> {
    routes::router()
}

/// Routes that receive files.
pub fn upload_router() -> OpenApiRouter<App> {
    screenshots::router()
}
