//! Members of a workspace. Owners and admins of the organization manage all its workspaces without being
//! listed here.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::ErrorCode;
use chrono::{DateTime, Utc};
use domain::ids::{UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::activity::touch_workspace;
use super::invites::revoke_invites_of;
use crate::app::App;
use crate::features::audit;
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Body, Created, Idempotent, Manager, Parameters, Query, WorkspaceMember, WorkspacePermission,
};
use crate::http::page::{Page, PageQuery, Position};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add_workspace_member, list_workspace_members))
        .routes(routes!(change_workspace_member, remove_workspace_member))
}

/// A member of the organization to be added to the workspace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspaceMembership {
    user_id: UserId,
    role: WorkspaceRole,
}

/// New role of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceMembershipChange {
    role: WorkspaceRole,
}

/// A user in a workspace, with the role.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct WorkspaceMembership {
    user_id: UserId,
    display_name: String,
    /// Null unless the caller is an owner or admin of the organization, or is this member.
    email: Option<String>,
    role: WorkspaceRole,
    #[sqlx(rename = "created_at")]
    joined_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct MemberPath {
    user_id: UserId,
}

/// Add a member of the organization to a workspace
///
/// Managers may do this. People outside the organization are invited by e-mail instead. Revokes a pending
/// invite of the new member into this workspace, because it is no longer needed.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/members", tag = "workspace members",
    params(
        ("workspace_id" = WorkspaceId, Path),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body = NewWorkspaceMembership,
    responses(
        (status = 201, body = WorkspaceMembership),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn add_workspace_member(
    State(app): State<App>,
    caller: WorkspaceMember<Manager>,
    request: Idempotent<NewWorkspaceMembership>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let NewWorkspaceMembership { user_id, role } = request.body;

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(&app, &mut transaction, caller.user_id).await? {
        return Ok(earlier);
    }
    // First, the same order of locks as in accepting an invite.
    app.database
        .run(
            DatabaseOperation::RevokeWorkspaceInvite,
            sqlx::query(
                "update workspace_invites i set status = 'revoked', closed_at = $3 from users u
                 where i.workspace_id = $1 and u.id = $2 and i.email = u.email and i.status = 'pending'",
            )
            .bind(caller.workspace_id)
            .bind(user_id)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    // Locked, so that they cannot leave the organization before the commit.
    let in_organization: Option<OrganizationRole> = app
        .database
        .run(
            DatabaseOperation::FindOrganizationRole,
            sqlx::query_scalar(
                "select role from organization_members where organization_id = $1 and user_id = $2 for key share",
            )
            .bind(caller.organization_id)
            .bind(user_id)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    if in_organization.is_none() {
        let problem = "must be a member of the organization; invite other people by e-mail";
        return Err(Error::invalid_field("user_id", problem));
    }
    let added: Option<WorkspaceMembership> = app
        .database
        .run(
            DatabaseOperation::InsertWorkspaceMember,
            sqlx::query_as(
                "with added as (
                     insert into workspace_members (workspace_id, organization_id, user_id, role, created_at)
                     values ($1, $2, $3, $4, $5) on conflict (workspace_id, user_id) do nothing
                     returning user_id, role, created_at
                 )
                 select m.user_id, u.display_name, case when $6 or u.id = $7 then u.email end as email, m.role,
                     m.created_at
                 from added m join users u on u.id = m.user_id",
            )
            .bind(caller.workspace_id)
            .bind(caller.organization_id)
            .bind(user_id)
            .bind(role)
            .bind(now)
            .bind(caller.administers)
            .bind(caller.user_id)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let added = added.ok_or_else(|| {
        Error::refused(ErrorCode::AlreadyExists, "This user is a member of the workspace already.")
    })?;
    let joined = audit::Change::workspace_membership(caller.workspace_id, user_id, None, Some(role));
    let audited = audit::write(&app.database, &mut transaction, author(&caller, now), joined).await?;
    let created = Created::new(added);
    touch_workspace(&app, &mut transaction, caller.workspace_id).await?;
    request.complete(&app, &mut transaction, caller.user_id, &created).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(created.into_response())
}

/// List the members of a workspace
///
/// Members see each other's names. Only owners and admins of the organization see e-mail addresses.
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/members", tag = "workspace members",
    params(("workspace_id" = WorkspaceId, Path), PageQuery),
    responses(
        (status = 200, body = Page<WorkspaceMembership>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_workspace_members(
    State(app): State<App>,
    caller: WorkspaceMember,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<WorkspaceMembership>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let members: Vec<WorkspaceMembership> = app
        .database
        .run(
            DatabaseOperation::ListWorkspaceMembers,
            sqlx::query_as(
                "select m.user_id, u.display_name, case when $5 or u.id = $6 then u.email end as email, m.role,
                     m.created_at
                 from workspace_members m join users u on u.id = m.user_id
                 where m.workspace_id = $1
                     and ($2::timestamptz is null or (m.created_at, m.user_id) < ($2, $3))
                 order by m.created_at desc, m.user_id desc limit $4",
            )
            .bind(caller.workspace_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(caller.administers)
            .bind(caller.user_id)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position =
        |member: &WorkspaceMembership| Position { created_at: member.joined_at, id: member.user_id.uuid() };
    Ok(Json(Page::of(members, rows, position)))
}

/// Change a member's role
///
/// Managers may do this. A manager who gets another role loses their pending invites into the workspace.
#[utoipa::path(
    patch, path = "/v1/workspaces/{workspace_id}/members/{user_id}", tag = "workspace members",
    params(("workspace_id" = WorkspaceId, Path), ("user_id" = UserId, Path)),
    request_body = WorkspaceMembershipChange,
    responses(
        (status = 200, body = WorkspaceMembership),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn change_workspace_member(
    State(app): State<App>,
    caller: WorkspaceMember<Manager>,
    Parameters(MemberPath { user_id }): Parameters<MemberPath>,
    Body(change): Body<WorkspaceMembershipChange>,
) -> Result<Json<WorkspaceMembership>, Error> {
    let mut transaction = app.database.begin().await?;
    if !Manager::allows(change.role) {
        let (organization, workspace) = (caller.organization_id, Some(caller.workspace_id));
        revoke_invites_of(&app, &mut transaction, user_id, organization, workspace).await?;
    }
    let changed: Option<ChangedMembership> = app
        .database
        .run(
            DatabaseOperation::UpdateWorkspaceMember,
            sqlx::query_as(
                "with before as (
                     select role from workspace_members where workspace_id = $1 and user_id = $2 for no key update
                 )
                 update workspace_members m set role = $3 from users u, before
                 where m.workspace_id = $1 and m.user_id = $2 and u.id = m.user_id
                 returning before.role as role_before, m.user_id, u.display_name,
                     case when $4 or u.id = $5 then u.email end as email, m.role, m.created_at",
            )
            .bind(caller.workspace_id)
            .bind(user_id)
            .bind(change.role)
            .bind(caller.administers)
            .bind(caller.user_id)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let ChangedMembership { membership, role_before } = changed.ok_or_else(|| Error::not_found("member"))?;
    let workspace = caller.workspace_id;
    let change =
        audit::Change::workspace_membership(workspace, user_id, Some(role_before), Some(change.role));
    let author = author(&caller, app.clock.now());
    let audited = audit::write(&app.database, &mut transaction, author, change).await?;
    touch_workspace(&app, &mut transaction, caller.workspace_id).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(Json(membership))
}

/// The changed membership, with its previous role.
#[derive(sqlx::FromRow)]
struct ChangedMembership {
    #[sqlx(flatten)]
    membership: WorkspaceMembership,
    role_before: WorkspaceRole,
}

fn author<P>(caller: &WorkspaceMember<P>, now: DateTime<Utc>) -> audit::Author {
    audit::Author { actor: Some(caller.user_id), organization: Some(caller.organization_id), now }
}

/// Remove a member, or leave
///
/// Managers may remove others, and everybody may leave. The user stays a member of the organization, and
/// their pending invites into the workspace are revoked.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}/members/{user_id}", tag = "workspace members",
    params(("workspace_id" = WorkspaceId, Path), ("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "No longer a member."),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn remove_workspace_member(
    State(app): State<App>,
    caller: WorkspaceMember,
    Parameters(MemberPath { user_id }): Parameters<MemberPath>,
) -> Result<StatusCode, Error> {
    if caller.user_id != user_id && !Manager::allows(caller.role) {
        return Err(Error::forbidden(Manager::REFUSAL));
    }
    let mut transaction = app.database.begin().await?;
    let (organization, workspace) = (caller.organization_id, Some(caller.workspace_id));
    revoke_invites_of(&app, &mut transaction, user_id, organization, workspace).await?;
    let role: Option<WorkspaceRole> = app
        .database
        .run(
            DatabaseOperation::DeleteWorkspaceMember,
            sqlx::query_scalar(
                "delete from workspace_members where workspace_id = $1 and user_id = $2 returning role",
            )
            .bind(caller.workspace_id)
            .bind(user_id)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let role = role.ok_or_else(|| Error::not_found("member"))?;
    let left = audit::Change::workspace_membership(caller.workspace_id, user_id, Some(role), None);
    let author = author(&caller, app.clock.now());
    let audited = audit::write(&app.database, &mut transaction, author, left).await?;
    touch_workspace(&app, &mut transaction, caller.workspace_id).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(StatusCode::NO_CONTENT)
}
