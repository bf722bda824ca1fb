//! Members of an organization. Users become members by accepting an invite into one of its workspaces.

use axum::Json;
use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::ErrorCode;
use chrono::{DateTime, Utc};
use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::features::audit;
use crate::features::workspaces::invites::revoke_invites_of;
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Body, OrganizationAdmin, OrganizationMember, OrganizationPermission, Parameters, Query,
};
use crate::http::page::{Page, PageQuery, Position};
use crate::platform::database::{self, Transaction};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_organization_members))
        .routes(routes!(change_organization_member, remove_organization_member))
}

/// A user in an organization, with the role.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct OrganizationMembership {
    user_id: UserId,
    display_name: String,
    /// Null unless the caller is an owner or admin, or is this member.
    email: Option<String>,
    role: OrganizationRole,
    #[sqlx(rename = "created_at")]
    joined_at: DateTime<Utc>,
}

/// New role of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationMembershipChange {
    role: OrganizationRole,
}

#[derive(Deserialize)]
struct MemberPath {
    user_id: UserId,
}

/// List the members of an organization
///
/// Owners and admins see all members, with e-mail addresses. Others see the names of members who share a
/// workspace with them, and of the owners and admins, who manage all workspaces.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/members", tag = "organization members",
    params(("organization_id" = OrganizationId, Path), PageQuery),
    responses(
        (status = 200, body = Page<OrganizationMembership>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_organization_members(
    State(app): State<App>,
    caller: OrganizationMember,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<OrganizationMembership>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let members: Vec<OrganizationMembership> = app
        .database
        .run(
            DatabaseOperation::ListOrganizationMembers,
            sqlx::query_as(
                "select m.user_id, u.display_name, case when $5 or u.id = $6 then u.email end as email, m.role,
                     m.created_at
                 from organization_members m join users u on u.id = m.user_id
                 where m.organization_id = $1
                     and ($5 or u.id = $6 or exists (
                         select from workspace_members mine
                         left join workspace_members theirs
                             on theirs.workspace_id = mine.workspace_id and theirs.user_id = m.user_id
                         where mine.organization_id = $1 and mine.user_id = $6
                             and (theirs.user_id is not null or m.role in ('owner', 'admin'))
                     ))
                     and ($2::timestamptz is null or (m.created_at, m.user_id) < ($2, $3))
                 order by m.created_at desc, m.user_id desc limit $4",
            )
            .bind(caller.organization_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(OrganizationAdmin::allows(caller.role))
            .bind(caller.user_id)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position = |member: &OrganizationMembership| Position {
        created_at: member.joined_at,
        id: member.user_id.uuid(),
    };
    Ok(Json(Page::of(members, rows, position)))
}

/// Change a member's role
///
/// Owners and admins may do this; only owners can grant or revoke the owner role. The last owner cannot be
/// demoted. A member who loses the admin or owner role also loses their pending invites into workspaces that
/// they do not manage.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/members/{user_id}", tag = "organization members",
    params(("organization_id" = OrganizationId, Path), ("user_id" = UserId, Path)),
    request_body = OrganizationMembershipChange,
    responses(
        (status = 200, body = OrganizationMembership),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn change_organization_member(
    State(app): State<App>,
    caller: OrganizationMember<OrganizationAdmin>,
    Parameters(MemberPath { user_id }): Parameters<MemberPath>,
    Body(change): Body<OrganizationMembershipChange>,
) -> Result<Json<OrganizationMembership>, Error> {
    let mut transaction = app.database.begin().await?;
    if change.role == OrganizationRole::Member {
        revoke_invites_of(&app, &mut transaction, user_id, caller.organization_id, None).await?;
    }
    let members = lock_members(&app, &mut transaction, &caller, user_id).await?;
    allow(&members, caller.user_id, user_id, Some(change.role))?;
    let membership: Option<OrganizationMembership> = app
        .database
        .run(
            DatabaseOperation::UpdateOrganizationMember,
            sqlx::query_as(
                "update organization_members m set role = $3 from users u
                 where m.organization_id = $1 and m.user_id = $2 and u.id = m.user_id
                 returning m.user_id, u.display_name, u.email, m.role, m.created_at",
            )
            .bind(caller.organization_id)
            .bind(user_id)
            .bind(change.role)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let membership = membership.ok_or_else(|| Error::not_found("member"))?;
    let before = role_in(&members, user_id);
    let changed = audit::Change::organization_membership(user_id, before, Some(change.role));
    let author = author(&caller, app.clock.now());
    let audited = audit::write(&app.database, &mut transaction, author, changed).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(Json(membership))
}

/// Remove a member, or leave
///
/// Owners and admins may remove others; only owners can remove owners. Everybody may leave except the last
/// owner. The member also leaves all workspaces of the organization. Pending invites into them are revoked if
/// they were sent to the member or created by them.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}/members/{user_id}", tag = "organization members",
    params(("organization_id" = OrganizationId, Path), ("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "No longer a member."),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn remove_organization_member(
    State(app): State<App>,
    caller: OrganizationMember,
    Parameters(MemberPath { user_id }): Parameters<MemberPath>,
) -> Result<StatusCode, Error> {
    if caller.user_id != user_id && !OrganizationAdmin::allows(caller.role) {
        return Err(Error::forbidden(OrganizationAdmin::REFUSAL));
    }
    let mut transaction = app.database.begin().await?;
    // Otherwise an old link, or one sent to another address of theirs, would let them back in. Before the
    // members are locked, the same order as in accepting an invite.
    app.database
        .run(
            DatabaseOperation::RevokeWorkspaceInvite,
            sqlx::query(
                "update workspace_invites i set status = 'revoked', closed_at = $3
                 from workspaces w, users u
                 where w.organization_id = $1 and i.workspace_id = w.id
                     and u.id = $2 and (i.email = u.email or i.invited_by = u.id) and i.status = 'pending'",
            )
            .bind(caller.organization_id)
            .bind(user_id)
            .bind(app.clock.now())
            .execute(&mut *transaction),
        )
        .await?;
    let members = lock_members(&app, &mut transaction, &caller, user_id).await?;
    allow(&members, caller.user_id, user_id, None)?;
    // Memberships in workspaces end with the one in the organization.
    let left: Vec<(WorkspaceId, WorkspaceRole)> = app
        .database
        .run(
            DatabaseOperation::DeleteOrganizationMember,
            sqlx::query_as(
                "with gone as (delete from organization_members where organization_id = $1 and user_id = $2)
                 select workspace_id, role from workspace_members where organization_id = $1 and user_id = $2",
            )
            .bind(caller.organization_id)
            .bind(user_id)
            .fetch_all(&mut *transaction),
        )
        .await?;
    let left = left.into_iter().filter_map(|(workspace, role)| {
        audit::Change::workspace_membership(workspace, user_id, Some(role), None)
    });
    let before = role_in(&members, user_id);
    let changes = audit::Change::organization_membership(user_id, before, None).into_iter().chain(left);
    let author = author(&caller, app.clock.now());
    let audited = audit::write(&app.database, &mut transaction, author, changes).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(StatusCode::NO_CONTENT)
}

type Roles = Vec<(UserId, OrganizationRole)>;

/// Returns the roles of all owners, of the caller and of the affected member, locked in a fixed order. If two
/// owners demote each other concurrently, the second request sees the result of the first.
async fn lock_members<P>(
    app: &App,
    transaction: &mut Transaction,
    caller: &OrganizationMember<P>,
    user_id: UserId,
) -> database::Result<Roles> {
    app.database
        .run(
            DatabaseOperation::LockOrganizationMembers,
            sqlx::query_as(
                "select user_id, role from organization_members
                 where organization_id = $1 and (role = 'owner' or user_id in ($2, $3))
                 order by user_id for no key update",
            )
            .bind(caller.organization_id)
            .bind(caller.user_id)
            .bind(user_id)
            .fetch_all(&mut **transaction),
        )
        .await
}

fn role_in(roles: &Roles, user: UserId) -> Option<OrganizationRole> {
    roles.iter().find(|(user_id, _)| *user_id == user).map(|(_, role)| *role)
}

fn author<P>(caller: &OrganizationMember<P>, now: DateTime<Utc>) -> audit::Author {
    audit::Author { actor: Some(caller.user_id), organization: Some(caller.organization_id), now }
}

/// Checks whether `caller` may give `member` a new role, or end the membership if there is none. `roles`
/// contains all owners and both of them.
fn allow(
    roles: &Roles,
    caller: UserId,
    member: UserId,
    new_role: Option<OrganizationRole>,
) -> Result<(), Error> {
    let caller_role = role_in(roles, caller).ok_or_else(|| Error::not_found("organization"))?;
    let leaves = caller == member && new_role.is_none();
    if !leaves && !OrganizationAdmin::allows(caller_role) {
        return Err(Error::forbidden(OrganizationAdmin::REFUSAL));
    }
    let role = role_in(roles, member).ok_or_else(|| Error::not_found("member"))?;
    let is_owner = role == OrganizationRole::Owner;
    let becomes_owner = new_role == Some(OrganizationRole::Owner);
    if (is_owner || becomes_owner) && caller_role != OrganizationRole::Owner {
        return Err(Error::forbidden("Only owners of the organization may make, demote or remove owners."));
    }
    let owners = roles.iter().filter(|(_, role)| *role == OrganizationRole::Owner).count();
    if is_owner && !becomes_owner && owners == 1 {
        let message = "An organization needs an owner: make another member an owner first.";
        return Err(Error::refused(ErrorCode::Conflict, message));
    }
    Ok(())
}
