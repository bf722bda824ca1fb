//! Comments on content items.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use chrono::{DateTime, Utc};
use domain::approval::Refusal;
use domain::ids::{CommentId, ContentItemId, UserId, WorkspaceId};
use domain::limits;
use domain::vocabulary::{ContentItemStatus, WorkspaceRole};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{ContentItemPath, find_status};
use crate::app::App;
use crate::features::workspaces::activity::touch_workspace;
use crate::http::error::{Error, responses};
use crate::http::extract::{Created, Idempotent, Member, Parameters, Query, WorkspaceMember};
use crate::http::page::{PAGE_BYTES, Page, PageQuery, Position, page_of_texts};
use crate::platform::text::Text;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_comment, list_comments)).routes(routes!(delete_comment))
}

type CommentBody = Text<{ *limits::COMMENT_BODY.start() }, { *limits::COMMENT_BODY.end() }>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    body: CommentBody,
}

#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Comment {
    id: CommentId,
    author_id: UserId,
    body: String,
    created_at: DateTime<Utc>,
}

/// Comment on a content item
///
/// Every member of the workspace may do this, until the item is archived.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments", tag = "comments",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body = NewComment,
    responses(
        (status = 201, body = Comment),
        responses::Authenticated, responses::NotFound, responses::JsonBody, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn create_comment(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<ContentItemPath>,
    request: Idempotent<NewComment>,
) -> Result<Response, Error> {
    let content_item_id = path.content_item_id;
    let comment = Comment {
        id: CommentId::from(Uuid::now_v7()),
        author_id: member.user_id,
        body: request.body.body.as_str().to_owned(),
        created_at: app.clock.now(),
    };

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(&app, &mut transaction, member.user_id).await? {
        return Ok(earlier);
    }
    let status = find_status(&app, &mut transaction, member.workspace_id, content_item_id).await?;
    if status == ContentItemStatus::Archived {
        return Err(Refusal::Archived.into());
    }
    app.database
        .run(
            DatabaseOperation::InsertComment,
            sqlx::query(
                "insert into comments (id, content_item_id, author_id, body, created_at) values ($1, $2, $3, $4, $5)",
            )
            .bind(comment.id)
            .bind(content_item_id)
            .bind(comment.author_id)
            .bind(&comment.body)
            .bind(comment.created_at)
            .execute(&mut *transaction),
        )
        .await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    let comment_id = comment.id;
    let created = Created::new(comment);
    request.complete(&app, &mut transaction, member.user_id, &created).await?;
    app.database.commit(transaction).await?;

    app.signals.comment_created(&member.actor(), content_item_id, comment_id);
    Ok(created.into_response())
}

/// List the comments on a content item
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments", tag = "comments",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path), PageQuery),
    responses(
        (status = 200, body = Page<Comment>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_comments(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<ContentItemPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Comment>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    find_status(&app, &mut connection, member.workspace_id, path.content_item_id).await?;
    let comments: Vec<Comment> = app
        .database
        .run(
            DatabaseOperation::ListComments,
            sqlx::query_as(page_of_texts!(
                bytes: "octet_length(body)",
                order: "created_at desc, id desc",
                limit: "$5",
                "select id, author_id, body, created_at from comments
                     where content_item_id = $1
                         and ($2::timestamptz is null or (created_at, id) < ($2, $3))
                     order by created_at desc, id desc limit $4"
            ))
            .bind(path.content_item_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(PAGE_BYTES as i64)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position = |comment: &Comment| Position { created_at: comment.created_at, id: comment.id.uuid() };
    Ok(Json(Page::of_texts(comments, rows, |comment| &comment.body, position)))
}

#[derive(Deserialize)]
struct CommentPath {
    content_item_id: ContentItemId,
    comment_id: CommentId,
}

/// Delete a comment
///
/// Its author and the managers of the workspace may do this.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments/{comment_id}",
    tag = "comments",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path),
        ("comment_id" = CommentId, Path),
    ),
    responses(
        (status = 204, description = "The comment is deleted."),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn delete_comment(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<CommentPath>,
) -> Result<StatusCode, Error> {
    let mut transaction = app.database.begin().await?;
    let author_id: Option<UserId> = app
        .database
        .run(
            DatabaseOperation::FindComment,
            sqlx::query_scalar(
                "select c.author_id from comments c join content_items i on i.id = c.content_item_id
                 where c.id = $1 and c.content_item_id = $2 and i.workspace_id = $3 for update of c",
            )
            .bind(path.comment_id)
            .bind(path.content_item_id)
            .bind(member.workspace_id)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let author_id = author_id.ok_or_else(|| Error::not_found("comment"))?;
    telemetry::current::set(|attributes| {
        attributes.id(&keys::CONTENT_ITEM_ID, path.content_item_id);
        attributes.id(&keys::COMMENT_ID, path.comment_id);
    });
    if author_id != member.user_id && member.role != WorkspaceRole::Manager {
        return Err(Error::forbidden(
            "Only the author of the comment and managers of the workspace may delete it.",
        ));
    }
    app.database
        .run(
            DatabaseOperation::DeleteComment,
            sqlx::query("delete from comments where id = $1")
                .bind(path.comment_id)
                .execute(&mut *transaction),
        )
        .await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;

    Ok(StatusCode::NO_CONTENT)
}
