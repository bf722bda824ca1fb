//! Content items: create, list, read, edit.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use domain::approval::{Action, ApprovalState};
use domain::ids::{ContentItemId, UserId, WorkspaceId};
use domain::vocabulary::{Channel, ContentItemStatus};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::item::{ContentBody, ContentItem, ContentItemPath, ContentItemSummary, Title};
use super::locked::LockedContentItem;
use super::revisions::insert_revision;
use crate::app::App;
use crate::features::workspaces::activity::touch_workspace;
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Author, Body, Created, Idempotent, IfMatch, Member, Parameters, Query, WorkspaceMember,
};
use crate::http::page::{Page, PageQuery, Position};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewContentItem {
    channel: Channel,
    title: Title,
    /// May be empty: a post can consist of a picture.
    body: ContentBody,
}

/// Create a content item
///
/// It is a draft until it is submitted.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items", tag = "content items",
    params(
        ("workspace_id" = WorkspaceId, Path),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body = NewContentItem,
    responses(
        (status = 201, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
pub(super) async fn create_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Author>,
    request: Idempotent<NewContentItem>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let id = ContentItemId::from(Uuid::now_v7());
    let state = ApprovalState::draft(member.user_id);
    let item = ContentItem {
        summary: ContentItemSummary {
            id,
            workspace_id: member.workspace_id,
            channel: request.body.channel,
            status: state.status,
            revision: state.revision,
            title: request.body.title.as_str().to_owned(),
            author_id: member.user_id,
            revision_author_id: state.revision_author,
            scheduled_at: None,
            published_at: None,
            publish_failure: None,
            created_at: now,
            updated_at: now,
            version: 1,
        },
        body: request.body.body.as_str().to_owned(),
    };

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(&app, &mut transaction, member.user_id).await? {
        return Ok(earlier);
    }
    app.database
        .run(
            DatabaseOperation::InsertContentItem,
            sqlx::query(
                "insert into content_items (id, workspace_id, channel, status, current_revision, status_entered_at,
                     created_by, created_at, updated_at, version)
                 values ($1, $2, $3, $4, $5, $6, $7, $6, $6, $8)",
            )
            .bind(id)
            .bind(member.workspace_id)
            .bind(item.summary.channel)
            .bind(item.summary.status)
            .bind(item.summary.revision)
            .bind(now)
            .bind(member.user_id)
            .bind(item.summary.version)
            .execute(&mut *transaction),
        )
        .await?;
    insert_revision(&app, &mut transaction, &item).await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    let created = Created { etag: Some(item.etag()), body: item };
    request.complete(&app, &mut transaction, member.user_id, &created).await?;
    app.database.commit(transaction).await?;

    telemetry::current::set(|attributes| attributes.id(&keys::CONTENT_ITEM_ID, id));
    app.signals.content_item_created(&member.actor(), id, request.body.channel);
    Ok(created.into_response())
}

/// Filters of a list of content items.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContentItemsQuery {
    /// Only items with this status.
    status: Option<ContentItemStatus>,
    /// Only items for this channel.
    channel: Option<Channel>,
    /// Only items created by this user.
    author_id: Option<UserId>,
    /// Maximum number of items; default 50.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// List the content items of a workspace
///
/// Newest first and without their bodies.
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ContentItemsQuery),
    responses(
        (status = 200, body = Page<ContentItemSummary>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
pub(super) async fn list_content_items(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Query(query): Query<ContentItemsQuery>,
) -> Result<Json<Page<ContentItemSummary>>, Error> {
    let page = PageQuery::new(query.limit, query.cursor);
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let items: Vec<ContentItemSummary> = app
        .database
        .run(
            DatabaseOperation::ListContentItems,
            sqlx::query_as(
                "select i.id, i.workspace_id, i.channel, i.status, i.current_revision as revision, r.title,
                     i.created_by as author_id, r.author_id as revision_author_id, i.scheduled_at, i.published_at,
                     i.publish_failure, i.created_at, i.updated_at, i.version
                 from content_items i
                 join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                 where i.workspace_id = $1
                     and ($2::text is null or i.status = $2)
                     and ($3::text is null or i.channel = $3)
                     and ($4::uuid is null or i.created_by = $4)
                     and ($5::timestamptz is null or (i.created_at, i.id) < ($5, $6))
                 order by i.created_at desc, i.id desc limit $7",
            )
            .bind(member.workspace_id)
            .bind(query.status)
            .bind(query.channel)
            .bind(query.author_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position = |item: &ContentItemSummary| Position { created_at: item.created_at, id: item.id.uuid() };
    Ok(Json(Page::of(items, rows, position)))
}

/// Read a content item
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::NotFound,
    ),
    security(("access_token" = []))
)]
pub(super) async fn read_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<ContentItem, Error> {
    let mut connection = app.database.acquire().await?;
    let item: Option<ContentItem> = app
        .database
        .run(
            DatabaseOperation::FindContentItem,
            sqlx::query_as(
                "select i.id, i.workspace_id, i.channel, i.status, i.current_revision as revision, r.title, r.body,
                     i.created_by as author_id, r.author_id as revision_author_id, i.scheduled_at, i.published_at,
                     i.publish_failure, i.created_at, i.updated_at, i.version
                 from content_items i
                 join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                 where i.id = $1 and i.workspace_id = $2",
            )
            .bind(path.content_item_id)
            .bind(member.workspace_id)
            .fetch_optional(&mut *connection),
        )
        .await?;
    let item = item.ok_or_else(|| Error::not_found("content item"))?;
    telemetry::current::set(|attributes| attributes.id(&keys::CONTENT_ITEM_ID, path.content_item_id));
    Ok(item)
}

/// An edit of a content item; absent fields stay unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContentItemEdit {
    channel: Option<Channel>,
    title: Option<Title>,
    body: Option<ContentBody>,
}

/// Edit a content item
///
/// Creates a new revision and makes the item a draft again: earlier decisions become void, and a scheduled
/// time is dropped. An edit that changes nothing creates no revision.
#[utoipa::path(
    patch, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}", tag = "content items",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path),
        ("if-match" = String, Header, description = "The ETag of the current version."),
    ),
    request_body = ContentItemEdit,
    responses(
        (
            status = 200, body = ContentItem,
            headers(("etag" = String, description = "Value for If-Match of the next edit."))
        ),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
        responses::Precondition,
    ),
    security(("access_token" = []))
)]
pub(super) async fn edit_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Author>,
    Parameters(path): Parameters<ContentItemPath>,
    if_match: IfMatch,
    Body(edit): Body<ContentItemEdit>,
) -> Result<ContentItem, Error> {
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    let mut locked =
        LockedContentItem::lock(&app, &mut transaction, member.workspace_id, path.content_item_id).await?;
    if_match.check(locked.item.summary.version)?;
    let next = locked.after(Action::Edit { author: member.user_id }, now)?;
    if !locked.item.write(&edit) {
        return Ok(locked.item);
    }
    let item = locked.save(&app, &mut transaction, &next, now).await?;
    insert_revision(&app, &mut transaction, &item).await?;
    app.database.commit(transaction).await?;

    Ok(item)
}

impl ContentItem {
    /// Applies the edit and returns whether it changed anything.
    fn write(&mut self, edit: &ContentItemEdit) -> bool {
        let summary = &mut self.summary;
        let channel = edit.channel.unwrap_or(summary.channel);
        let title = edit.title.as_ref().map_or(summary.title.as_str(), Title::as_str);
        let body = edit.body.as_ref().map_or(self.body.as_str(), ContentBody::as_str);
        if (channel, title, body) == (summary.channel, summary.title.as_str(), self.body.as_str()) {
            return false;
        }
        let (title, body) = (title.to_owned(), body.to_owned());
        (summary.channel, summary.title, self.body) = (channel, title, body);
        true
    }
}
