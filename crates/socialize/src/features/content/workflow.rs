//! Submitting and archiving content items. Decisions and publishing have files of their own.

use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use domain::approval::Action;
use domain::ids::{ContentItemId, UserId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;

use super::item::{ContentItem, ContentItemPath};
use super::locked::LockedContentItem;
use crate::app::App;
use crate::features::email::Email;
use crate::http::error::{Error, responses};
use crate::http::extract::{Author, Parameters, WorkspaceMember};

/// Maximum number of reviewers who are notified by e-mail; the others see the item in the list.
const MAX_REVIEWERS_ASKED: i64 = 50;

/// Submit a content item for approval
///
/// Notifies the reviewers and managers who may decide by e-mail, at most every ten minutes about the same
/// item.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/submit", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
pub(super) async fn submit_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Author>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<ContentItem, Error> {
    let now = app.clock.now();
    let (workspace_id, content_item) = (member.workspace_id, path.content_item_id);

    let mut transaction = app.database.begin().await?;
    let locked = LockedContentItem::lock(&app, &mut transaction, workspace_id, content_item).await?;
    let next = locked.after(Action::Submit, now)?;
    let allow_self_approval = locked.rules.allow_self_approval;
    let item = locked.save(&app, &mut transaction, &next, now).await?;
    let reviewers: Vec<UserId> = app
        .database
        .run(
            DatabaseOperation::ListReviewers,
            sqlx::query_scalar(
                "select user_id from workspace_members
                 where workspace_id = $1 and role = any($2) and user_id <> $3 and ($4 or user_id <> $5)
                 order by created_at, user_id limit $6",
            )
            .bind(workspace_id)
            .bind([WorkspaceRole::Reviewer, WorkspaceRole::Manager].map(telemetry::ClosedSet::as_str))
            .bind(member.user_id)
            .bind(allow_self_approval)
            .bind(next.revision_author)
            .bind(MAX_REVIEWERS_ASKED)
            .fetch_all(&mut *transaction),
        )
        .await?;
    let revision = next.revision.0;
    let email = |reviewer| Email::ApprovalRequested { content_item, revision, reviewer };
    Email::enqueue_about_item(&app, &mut transaction, content_item, &reviewers, email).await?;
    app.database.commit(transaction).await?;

    Ok(item)
}

/// Archive a content item permanently
///
/// Managers can archive every item, authors those that they created.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/archive", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
pub(super) async fn archive_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Author>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<ContentItem, Error> {
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    let locked =
        LockedContentItem::lock(&app, &mut transaction, member.workspace_id, path.content_item_id).await?;
    if member.role != WorkspaceRole::Manager && locked.item.summary.author_id != member.user_id {
        return Err(Error::forbidden(
            "Only managers of the workspace may archive what somebody else created.",
        ));
    }
    let next = locked.after(Action::Archive, now)?;
    let item = locked.save(&app, &mut transaction, &next, now).await?;
    app.database.commit(transaction).await?;

    Ok(item)
}
