//! Delivery of approved items to the endpoints of their workspaces, which customers operate.

pub mod endpoint;
pub mod give_up_publishing;
pub mod publication;
pub mod publish_content_item;
pub mod schedule;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(schedule::router()).merge(endpoint::router())
}
