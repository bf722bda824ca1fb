//! Audit trail for the owners of an organization: changes of rights and of the protection of approval.

use axum::Json;
use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::audit::AuditAction;
use domain::ids::{AuditEventId, OrganizationId, UserId, WorkspaceId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::error::{Error, responses};
use crate::http::extract::{OrganizationMember, Owner, Query};
use crate::http::page::{Page, PageQuery, Position};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_events))
}

/// A change of rights or of the protection of approval.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct AuditEvent {
    id: AuditEventId,
    action: AuditAction,
    /// The user who made the change. Null if it was not made by a user's request.
    actor_id: Option<UserId>,
    /// The affected user.
    target_id: Option<UserId>,
    /// The affected workspace, which may be deleted by now.
    workspace_id: Option<WorkspaceId>,
    /// Value before the change: a role, a number, `true` or `false`, or a URL. Null if there was none.
    before: Option<String>,
    /// Value after the change. Null if there is none.
    after: Option<String>,
    /// The `x-request-id` of the request, by which operators find it in their logs.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    request_id: Option<String>,
    created_at: DateTime<Utc>,
}

/// List the changes of rights in an organization
///
/// Requires the role of an owner. Covers members and their roles, required approvals, self-approval and
/// publishing endpoints: each event has the author, the time, and the values before and after.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/audit-events", tag = "organizations",
    params(("organization_id" = OrganizationId, Path), PageQuery),
    responses(
        (status = 200, body = Page<AuditEvent>),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_audit_events(
    State(app): State<App>,
    owner: OrganizationMember<Owner>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<AuditEvent>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let events: Vec<AuditEvent> = app
        .database
        .run(
            DatabaseOperation::ListAuditEvents,
            sqlx::query_as(
                "select id, action, actor_id, target_id, workspace_id, before, after, request_id, created_at
                 from audit_events
                 where organization_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3))
                 order by created_at desc, id desc limit $4",
            )
            .bind(owner.organization_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position = |event: &AuditEvent| Position { created_at: event.created_at, id: event.id.uuid() };
    Ok(Json(Page::of(events, rows, position)))
}
