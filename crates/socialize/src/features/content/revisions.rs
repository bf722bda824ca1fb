//! Revisions of content items. They are immutable.

use axum::Json;
use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::approval::RevisionNumber;
use domain::ids::{ContentItemId, UserId, WorkspaceId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::item::{ContentItem, ContentItemPath, find_status};
use crate::app::App;
use crate::http::error::{Error, responses};
use crate::http::extract::{Member, Parameters, Query, WorkspaceMember};
use crate::http::page::{PAGE_BYTES, Page, PageQuery, Position, page_of_texts};
use crate::platform::database::{self, Transaction};

/// A revision of an item's text.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub(super) struct ContentRevision {
    number: RevisionNumber,
    title: String,
    body: String,
    author_id: UserId,
    created_at: DateTime<Utc>,
}

/// List the revisions of a content item
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/revisions", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path), PageQuery),
    responses(
        (status = 200, body = Page<ContentRevision>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
pub(super) async fn list_content_revisions(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<ContentItemPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ContentRevision>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    find_status(&app, &mut connection, member.workspace_id, path.content_item_id).await?;
    let revisions: Vec<ContentRevision> = app
        .database
        .run(
            DatabaseOperation::ListContentRevisions,
            sqlx::query_as(page_of_texts!(
                bytes: "octet_length(body)",
                order: "number desc",
                limit: "$4",
                "select number, title, body, author_id, created_at from content_revisions
                     where content_item_id = $1 and ($2::bigint is null or number < $2)
                     order by number desc limit $3"
            ))
            .bind(path.content_item_id)
            .bind(after.map(|position| position.id.as_u128() as i64))
            .bind(rows)
            .bind(PAGE_BYTES as i64)
            .fetch_all(&mut *connection),
        )
        .await?;
    // Revisions are numbered, so their number replaces the id of other lists.
    let position = |revision: &ContentRevision| Position {
        created_at: revision.created_at,
        id: Uuid::from_u128(revision.number.0.unsigned_abs().into()),
    };
    Ok(Json(Page::of_texts(revisions, rows, |revision| &revision.body, position)))
}

/// Inserts the item's current revision.
pub(super) async fn insert_revision(
    app: &App,
    transaction: &mut Transaction,
    item: &ContentItem,
) -> database::Result<()> {
    app.database
        .run(
            DatabaseOperation::InsertContentRevision,
            sqlx::query(
                "insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(item.summary.id)
            .bind(item.summary.revision)
            .bind(&item.summary.title)
            .bind(&item.body)
            .bind(item.summary.revision_author_id)
            .bind(item.summary.updated_at)
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}
