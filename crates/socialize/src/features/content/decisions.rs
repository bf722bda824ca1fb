//! Approval decisions: one reviewer's verdict on one revision.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::approval::{Action, RevisionNumber};
use domain::ids::{ApprovalDecisionId, ContentItemId, UserId, WorkspaceId};
use domain::limits;
use domain::vocabulary::{ContentItemStatus, Decision};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::item::{ContentItemPath, find_status};
use super::locked::LockedContentItem;
use crate::app::App;
use crate::features::email::Email;
use crate::http::error::{Error, responses};
use crate::http::extract::{Created, Idempotent, Member, Parameters, Query, Reviewer, WorkspaceMember};
use crate::http::page::{PAGE_BYTES, Page, PageQuery, Position, page_of_texts};
use crate::platform::text::Text;

/// Optional note of a reviewer.
type Note = Text<{ *limits::DECISION_NOTE.start() }, { *limits::DECISION_NOTE.end() }>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApprovalDecision {
    decision: Decision,
    /// The revision that the reviewer has read. The decision is rejected if it is no longer the current one.
    revision: RevisionNumber,
    note: Option<Note>,
}

#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub(super) struct ApprovalDecision {
    id: ApprovalDecisionId,
    revision: RevisionNumber,
    reviewer_id: UserId,
    decision: Decision,
    note: Option<String>,
    /// True if a newer revision has voided the decision.
    is_void: bool,
    created_at: DateTime<Utc>,
}

/// A decision and its effect.
#[derive(Serialize, ToSchema)]
pub(super) struct SubmittedApprovalDecision {
    #[serde(flatten)]
    decision: ApprovalDecision,
    /// The status of the content item after the decision.
    content_item_status: ContentItemStatus,
}

/// Decide on the current revision of a content item
///
/// Each reviewer decides once on a revision, and, unless the workspace allows it, not on a revision of their
/// own. A request for changes or a rejection ends the approval; the required number of approvals completes
/// it. The author is then notified by e-mail.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/decisions", tag = "approval decisions",
    params(
        ("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body = NewApprovalDecision,
    responses(
        (status = 201, body = SubmittedApprovalDecision),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
    ),
    security(("access_token" = []))
)]
pub(super) async fn submit_approval_decision(
    State(app): State<App>,
    member: WorkspaceMember<Reviewer>,
    Parameters(path): Parameters<ContentItemPath>,
    request: Idempotent<NewApprovalDecision>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let (reviewer, content_item) = (member.user_id, path.content_item_id);
    let NewApprovalDecision { decision, revision, note } = &request.body;
    let submitted = ApprovalDecision {
        id: ApprovalDecisionId::from(Uuid::now_v7()),
        revision: *revision,
        reviewer_id: reviewer,
        decision: *decision,
        note: note.as_ref().map(|note| note.as_str().to_owned()),
        is_void: false,
        created_at: now,
    };

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(&app, &mut transaction, reviewer).await? {
        return Ok(earlier);
    }
    let locked = LockedContentItem::lock(&app, &mut transaction, member.workspace_id, content_item).await?;
    let next = locked.after(Action::Decide { reviewer, revision: *revision, decision: *decision }, now)?;
    let status_before = locked.state.status;
    locked.save(&app, &mut transaction, &next, now).await?;
    app.database
        .run(
            DatabaseOperation::InsertApprovalDecision,
            sqlx::query(
                "insert into approval_decisions
                     (id, content_item_id, revision_number, reviewer_id, decision, note, created_at)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(submitted.id)
            .bind(content_item)
            .bind(submitted.revision)
            .bind(reviewer)
            .bind(submitted.decision)
            .bind(&submitted.note)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    let author = next.revision_author;
    if next.status != status_before && author != reviewer {
        let email = |author| Email::ApprovalDecided { content_item, author, decision: *decision };
        Email::enqueue_about_item(&app, &mut transaction, content_item, &[author], email).await?;
    }
    let created =
        Created::new(SubmittedApprovalDecision { decision: submitted, content_item_status: next.status });
    request.complete(&app, &mut transaction, reviewer, &created).await?;
    app.database.commit(transaction).await?;

    let revision = revision.0.unsigned_abs().into();
    app.signals.approval_decision_submitted(&member.actor(), content_item, revision, *decision);
    Ok(created.into_response())
}

/// List the decisions on a content item
///
/// Includes decisions on earlier revisions, marked as void.
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/decisions", tag = "approval decisions",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path), PageQuery),
    responses(
        (status = 200, body = Page<ApprovalDecision>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
pub(super) async fn list_approval_decisions(
    State(app): State<App>,
    member: WorkspaceMember<Member>,
    Parameters(path): Parameters<ContentItemPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<ApprovalDecision>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    find_status(&app, &mut connection, member.workspace_id, path.content_item_id).await?;
    let decisions: Vec<ApprovalDecision> = app
        .database
        .run(
            DatabaseOperation::ListApprovalDecisions,
            sqlx::query_as(page_of_texts!(
                bytes: "coalesce(octet_length(note), 0)",
                order: "created_at desc, id desc",
                limit: "$5",
                "select d.id, d.revision_number as revision, d.reviewer_id, d.decision, d.note,
                         d.revision_number < i.current_revision as is_void, d.created_at
                     from approval_decisions d join content_items i on i.id = d.content_item_id
                     where d.content_item_id = $1 and ($2::timestamptz is null or (d.created_at, d.id) < ($2, $3))
                     order by d.created_at desc, d.id desc limit $4"
            ))
            .bind(path.content_item_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(PAGE_BYTES as i64)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position =
        |decision: &ApprovalDecision| Position { created_at: decision.created_at, id: decision.id.uuid() };
    let page = Page::of_texts(decisions, rows, |one| one.note.as_deref().unwrap_or_default(), position);
    Ok(Json(page))
}
