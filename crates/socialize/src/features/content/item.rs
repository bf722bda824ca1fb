//! The item in the API, and the common parts of requests about it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use chrono::{DateTime, Utc};
use domain::approval::RevisionNumber;
use domain::ids::{ContentItemId, UserId, WorkspaceId};
use domain::limits;
use domain::vocabulary::{Channel, ContentItemStatus, PublishFailure};
use http::header;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::etag;
use crate::platform::text::Text;

/// Title of a revision.
pub(super) type Title = Text<{ *limits::CONTENT_TITLE.start() }, { *limits::CONTENT_TITLE.end() }>;
/// Body of a revision.
pub(super) type ContentBody = Text<{ *limits::CONTENT_BODY.start() }, { *limits::CONTENT_BODY.end() }>;

/// A content item as shown in lists.
#[derive(Clone, Serialize, ToSchema, sqlx::FromRow)]
pub struct ContentItemSummary {
    pub(crate) id: ContentItemId,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) channel: Channel,
    pub(crate) status: ContentItemStatus,
    /// Number of the current revision.
    pub(crate) revision: RevisionNumber,
    pub(crate) title: String,
    /// The user who created the item.
    pub(crate) author_id: UserId,
    /// The author of the current revision.
    pub(crate) revision_author_id: UserId,
    /// Time of publication, scheduled or past.
    pub(crate) scheduled_at: Option<DateTime<Utc>>,
    pub(crate) published_at: Option<DateTime<Utc>>,
    /// Reason why its delivery was given up, while its status is `publish_failed`.
    pub(crate) publish_failure: Option<PublishFailure>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// The version in the `ETag`.
    #[serde(skip)]
    pub(crate) version: i64,
}

/// A content item with its current revision.
#[derive(Clone, Serialize, ToSchema, sqlx::FromRow)]
pub struct ContentItem {
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) summary: ContentItemSummary,
    /// Text of the post.
    pub(crate) body: String,
}

#[derive(Deserialize)]
pub(crate) struct ContentItemPath {
    pub(crate) content_item_id: ContentItemId,
}

/// Returns the status of an item, for requests about its parts.
///
/// # Errors
/// Returns an error if the workspace has no such item, or the database fails.
pub(crate) async fn find_status(
    app: &App,
    connection: &mut PgConnection,
    workspace_id: WorkspaceId,
    content_item_id: ContentItemId,
) -> Result<ContentItemStatus, Error> {
    let status: Option<ContentItemStatus> = app
        .database
        .run(
            DatabaseOperation::FindContentItemStatus,
            sqlx::query_scalar("select status from content_items where id = $1 and workspace_id = $2")
                .bind(content_item_id)
                .bind(workspace_id)
                .fetch_optional(connection),
        )
        .await?;
    let status = status.ok_or_else(|| Error::not_found("content item"))?;
    telemetry::current::set(|attributes| attributes.id(&keys::CONTENT_ITEM_ID, content_item_id));
    Ok(status)
}

impl ContentItem {
    pub(super) fn etag(&self) -> String {
        etag(self.summary.version)
    }
}

impl IntoResponse for ContentItem {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.etag())], Json(self)).into_response()
    }
}
