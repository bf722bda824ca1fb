//! Content items: posts that are prepared, approved and published.
//!
//! Every change reads the item under a lock (`locked.rs`), asks the state machine in [`domain::approval`] and
//! writes its result. No handler decides itself which actions are allowed.

mod attachments;
pub mod comments;
mod decisions;
mod item;
mod items;
mod locked;
pub mod remind_stale_approvals;
mod revisions;
mod workflow;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use self::item::{ContentItem, ContentItemPath, find_status};
pub(crate) use self::locked::LockedContentItem;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(items::create_content_item, items::list_content_items))
        .routes(routes!(items::read_content_item, items::edit_content_item))
        .routes(routes!(revisions::list_content_revisions))
        .routes(routes!(workflow::submit_content_item))
        .routes(routes!(workflow::archive_content_item))
        .routes(routes!(decisions::submit_approval_decision, decisions::list_approval_decisions))
        .routes(routes!(attachments::download_attachment, attachments::delete_attachment))
        .merge(comments::router())
}

/// Routes that receive files.
pub fn upload_router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(attachments::attach_file, attachments::list_attachments))
}
