//! Attachments: files of a content item.
//!
//! A decision on a revision covers its attachments. So adding or deleting one is an edit like any other: it
//! requires the current version, creates a new revision and makes the item a draft again.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::{ErrorCode, Quota};
use chrono::{DateTime, Utc};
use domain::approval::{Action, ApprovalState};
use domain::ids::{AttachmentId, ContentItemId, OrganizationId, UserId, WorkspaceId};
use domain::limits;
use domain::vocabulary::MediaType;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use telemetry::ClosedSet;
use utoipa::{IntoParams, ToSchema};

use super::item::{ContentItemPath, find_status};
use super::locked::LockedContentItem;
use super::revisions::insert_revision;
use crate::app::App;
use crate::features::files::uploads::{StoredBlob, UploadRules, store_upload};
use crate::features::files::{self, File, FileRequest};
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Author, Created, IdempotencyKey, Idempotent, IfMatch, Member, Parameters, Query, Upload, WorkspaceMember,
};
use crate::platform::blobs::Uploader;
use crate::platform::database::Transaction;
use crate::platform::text::Text;

const RULES: UploadRules = UploadRules { max_bytes: limits::ATTACHMENT_BYTES, media_types: MediaType::ALL };

type FileName = Text<{ *limits::FILE_NAME.start() }, { *limits::FILE_NAME.end() }>;

/// A file of a content item.
#[derive(Serialize, ToSchema)]
pub(super) struct Attachment {
    id: AttachmentId,
    /// As given on upload.
    file_name: Option<String>,
    /// Detected from the content.
    media_type: MediaType,
    /// Size in bytes.
    size: i64,
    /// SHA-256 of the content.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    checksum: String,
    uploaded_by: UserId,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct AttachmentRow {
    id: AttachmentId,
    file_name: Option<String>,
    media_type: MediaType,
    size: i64,
    checksum: Vec<u8>,
    uploaded_by: UserId,
    created_at: DateTime<Utc>,
}

impl From<AttachmentRow> for Attachment {
    fn from(row: AttachmentRow) -> Self {
        let AttachmentRow { id, file_name, media_type, size, checksum, uploaded_by, created_at } = row;
        Self { id, file_name, media_type, size, checksum: files::hex(&checksum), uploaded_by, created_at }
    }
}

/// All attachments of a content item.
#[derive(Serialize, ToSchema)]
pub(super) struct Attachments {
    /// Oldest first.
    items: Vec<Attachment>,
}

/// Properties of a file besides its content.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AttachmentQuery {
    /// Name of the file when it is downloaded.
    #[param(inline)]
    file_name: Option<FileName>,
}

/// Attach a file to a content item
///
/// The body is the file, of at most 25 MiB: PNG, JPEG, GIF, WebP, MP4 or PDF, detected from its content;
/// `Content-Type` is ignored. A content item has at most 20 attachments. This is an edit: it creates a new
/// revision and makes the item a draft again.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments", tag = "attachments",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path), AttachmentQuery,
        ("if-match" = String, Header, description = "The ETag of the content item's current version."),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (
            status = 201, body = Attachment,
            headers(("etag" = String, description = "Value for If-Match of the content item's next edit."))
        ),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::FileBody, responses::Conflict,
        responses::Precondition, responses::KeyReused, responses::RateLimited,
    ),
    security(("access_token" = []))
)]
pub(super) async fn attach_file(
    State(app): State<App>,
    member: WorkspaceMember<Author>,
    Parameters(path): Parameters<ContentItemPath>,
    Query(query): Query<AttachmentQuery>,
    if_match: IfMatch,
    key: IdempotencyKey,
    upload: Upload,
) -> Result<Response, Error> {
    // Check before the upload, so that nobody uploads in vain. A repetition gets the earlier response
    // instead.
    if !key.is_present() {
        let mut transaction = app.database.begin().await?;
        let edit = Edit::begin(&app, &mut transaction, &member, path.content_item_id, &if_match).await?;
        edit.require_room(&app, &mut transaction, member.organization_id).await?;
    }
    let uploader = Uploader { user_id: member.user_id, organization_id: Some(member.organization_id) };
    let stored = store_upload(&app, upload, uploader, RULES).await?;
    let request = key.of_file(&stored.checksum);
    let attached = attach(&app, &member, path.content_item_id, &if_match, query, &request, &stored).await;
    match attached {
        Ok(Attached::Now(created)) => Ok(created.into_response()),
        Ok(Attached::Before(earlier)) => {
            stored.discard(&app).await;
            Ok(earlier)
        }
        Err(error) => {
            stored.discard(&app).await;
            Err(error)
        }
    }
}

/// A new attachment, or that of an earlier identical request.
enum Attached {
    Now(Created<Attachment>),
    Before(Response),
}

async fn attach(
    app: &App,
    member: &WorkspaceMember<Author>,
    content_item_id: ContentItemId,
    if_match: &IfMatch,
    query: AttachmentQuery,
    request: &Idempotent<()>,
    stored: &StoredBlob,
) -> Result<Attached, Error> {
    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(app, &mut transaction, member.user_id).await? {
        return Ok(Attached::Before(earlier));
    }
    let edit = Edit::begin(app, &mut transaction, member, content_item_id, if_match).await?;
    edit.require_room(app, &mut transaction, member.organization_id).await?;
    stored.reference(app, &mut transaction).await?;
    let attachment = Attachment {
        id: AttachmentId::from(stored.id.uuid()),
        file_name: query.file_name.map(|name| name.as_str().to_owned()),
        media_type: stored.media_type,
        size: stored.size,
        checksum: files::hex(&stored.checksum),
        uploaded_by: member.user_id,
        created_at: app.clock.now(),
    };
    let inserted = app
        .database
        .run(
            DatabaseOperation::InsertAttachment,
            sqlx::query(
                "insert into attachments
                     (id, content_item_id, file_name, media_type, size, checksum, uploaded_by, created_at)
                 select $1, $2, $3, $4, $5, $6, $7, $8 where lock_organization_storage($9) + $5 <= $10",
            )
            .bind(attachment.id)
            .bind(content_item_id)
            .bind(&attachment.file_name)
            .bind(attachment.media_type)
            .bind(attachment.size)
            .bind(&stored.checksum[..])
            .bind(attachment.uploaded_by)
            .bind(attachment.created_at)
            .bind(member.organization_id)
            .bind(app.settings.quotas.parameter(Quota::StoragePerOrganization))
            .execute(&mut *transaction),
        )
        .await?;
    if inserted.rows_affected() == 0 {
        return Err(app.settings.quotas.reached(Quota::StoragePerOrganization).into());
    }
    let etag = edit.save(app, &mut transaction).await?;
    telemetry::current::set(|attributes| attributes.id(&keys::ATTACHMENT_ID, attachment.id));
    let created = Created { body: attachment, etag: Some(etag) };
    request.complete(app, &mut transaction, member.user_id, &created).await?;
    app.database.commit(transaction).await?;
    Ok(Attached::Now(created))
}

/// An edit of the attachments of a locked item.
struct Edit {
    locked: LockedContentItem,
    next: ApprovalState,
    now: DateTime<Utc>,
}

impl Edit {
    async fn begin(
        app: &App,
        transaction: &mut Transaction,
        member: &WorkspaceMember<Author>,
        content_item_id: ContentItemId,
        if_match: &IfMatch,
    ) -> Result<Self, Error> {
        let now = app.clock.now();
        let locked = LockedContentItem::lock(app, transaction, member.workspace_id, content_item_id).await?;
        if_match.check(locked.item.summary.version)?;
        let next = locked.after(Action::Edit { author: member.user_id }, now)?;
        Ok(Self { locked, next, now })
    }

    /// Checks the maximum number of attachments of the item, and the organization's storage quota.
    async fn require_room(
        &self,
        app: &App,
        transaction: &mut Transaction,
        organization_id: OrganizationId,
    ) -> Result<(), Error> {
        let (count, stored): (i64, i64) = app
            .database
            .run(
                DatabaseOperation::CountAttachments,
                sqlx::query_as(
                    "select (select count(*) from attachments where content_item_id = $1),
                            coalesce((select bytes from organization_storage where organization_id = $2), 0)",
                )
                .bind(self.locked.item.summary.id)
                .bind(organization_id)
                .fetch_one(&mut **transaction),
            )
            .await?;
        if stored >= app.settings.quotas.parameter(Quota::StoragePerOrganization) {
            return Err(app.settings.quotas.reached(Quota::StoragePerOrganization).into());
        }
        if count < limits::ATTACHMENTS {
            return Ok(());
        }
        let message =
            format!("A content item can have at most {} attachments: delete one first.", limits::ATTACHMENTS);
        Err(Error::refused(ErrorCode::Conflict, message))
    }

    /// Writes the new revision and returns the item's `ETag`.
    async fn save(self, app: &App, transaction: &mut Transaction) -> Result<String, Error> {
        let item = self.locked.save(app, transaction, &self.next, self.now).await?;
        insert_revision(app, transaction, &item).await?;
        Ok(item.etag())
    }
}

/// List the attachments of a content item
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments", tag = "attachments",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses((status = 200, body = Attachments), responses::Authenticated, responses::NotFound),
    security(("access_token" = []))
)]
pub(super) async fn list_attachments(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<Json<Attachments>, Error> {
    let mut connection = app.database.acquire().await?;
    find_status(&app, &mut connection, member.workspace_id, path.content_item_id).await?;
    let rows: Vec<AttachmentRow> = app
        .database
        .run(
            DatabaseOperation::ListAttachments,
            sqlx::query_as(
                "select id, file_name, media_type, size, checksum, uploaded_by, created_at from attachments
                 where content_item_id = $1 order by id",
            )
            .bind(path.content_item_id)
            .fetch_all(&mut *connection),
        )
        .await?;
    Ok(Json(Attachments { items: rows.into_iter().map(Attachment::from).collect() }))
}

#[derive(Deserialize)]
pub(super) struct AttachmentPath {
    content_item_id: ContentItemId,
    attachment_id: AttachmentId,
}

/// Download an attachment
///
/// Supports a single `Range`, and `If-None-Match`.
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments/{attachment_id}",
    tag = "attachments",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path),
        ("attachment_id" = AttachmentId, Path),
    ),
    responses(responses::File, responses::Authenticated, responses::NotFound),
    security(("access_token" = []))
)]
pub(super) async fn download_attachment(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<AttachmentPath>,
    request: FileRequest,
) -> Result<Response, Error> {
    let mut connection = app.database.acquire().await?;
    let file: Option<File> = app
        .database
        .run(
            DatabaseOperation::FindAttachment,
            sqlx::query_as(
                "select a.id as blob_id, a.file_name, a.media_type, a.size, a.checksum
                 from attachments a join content_items i on i.id = a.content_item_id
                 where a.id = $1 and a.content_item_id = $2 and i.workspace_id = $3",
            )
            .bind(path.attachment_id)
            .bind(path.content_item_id)
            .bind(member.workspace_id)
            .fetch_optional(&mut *connection),
        )
        .await?;
    // No database connection is held during the transfer.
    drop(connection);
    let file = file.ok_or_else(|| Error::not_found("attachment"))?;
    telemetry::current::set(|attributes| {
        attributes.id(&keys::CONTENT_ITEM_ID, path.content_item_id);
        attributes.id(&keys::ATTACHMENT_ID, path.attachment_id);
    });
    files::send(&app, &request, file).await
}

/// Delete an attachment
///
/// This is an edit: it creates a new revision and makes the item a draft again.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments/{attachment_id}",
    tag = "attachments",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path),
        ("attachment_id" = AttachmentId, Path),
        ("if-match" = String, Header, description = "The ETag of the content item's current version."),
    ),
    responses(
        (
            status = 204, description = "The attachment is deleted.",
            headers(("etag" = String, description = "Value for If-Match of the content item's next edit."))
        ),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::BadRequest, responses::Conflict,
        responses::Precondition,
    ),
    security(("access_token" = []))
)]
pub(super) async fn delete_attachment(
    State(app): State<App>,
    member: WorkspaceMember<Author>,
    Parameters(path): Parameters<AttachmentPath>,
    if_match: IfMatch,
) -> Result<Response, Error> {
    let mut transaction = app.database.begin().await?;
    let edit = Edit::begin(&app, &mut transaction, &member, path.content_item_id, &if_match).await?;
    let deleted = app
        .database
        .run(
            DatabaseOperation::DeleteAttachment,
            sqlx::query("delete from attachments where id = $1 and content_item_id = $2")
                .bind(path.attachment_id)
                .bind(path.content_item_id)
                .execute(&mut *transaction),
        )
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::not_found("attachment"));
    }
    telemetry::current::set(|attributes| attributes.id(&keys::ATTACHMENT_ID, path.attachment_id));
    let etag = edit.save(&app, &mut transaction).await?;
    app.database.commit(transaction).await?;
    Ok((StatusCode::NO_CONTENT, [(header::ETAG, etag)]).into_response())
}
