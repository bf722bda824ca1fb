//! Workspaces, their members, and invitations into them.

pub mod acceptance;
pub mod activity;
pub mod expire_invites;
pub mod invites;
pub mod members;
pub mod routes;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(routes::router())
        .merge(members::router())
        .merge(invites::router())
        .merge(acceptance::router())
}
