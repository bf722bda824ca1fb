//! Permissions of the caller in an organization or workspace. They are looked up for every request, so a
//! removal takes effect at once. Non-members get 404, so that nobody learns what exists in other
//! organizations.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::request::Parts;
use serde::Deserialize;

use super::{CurrentUser, Parameters};
use crate::app::App;
use crate::http::error::Error;
use crate::platform::signals::Actor;

/// Required role in the organization.
pub trait OrganizationPermission: Send {
    /// Returns whether the role suffices.
    fn allows(role: OrganizationRole) -> bool;
    /// Message for a member whose role does not suffice.
    const REFUSAL: &'static str;
}

pub struct OrganizationRoleAny;
pub struct OrganizationAdmin;
pub struct Owner;

impl OrganizationPermission for OrganizationRoleAny {
    const REFUSAL: &'static str = "Only members of the organization may do this.";

    fn allows(_: OrganizationRole) -> bool {
        true
    }
}

impl OrganizationPermission for OrganizationAdmin {
    const REFUSAL: &'static str = "Only owners and admins of the organization may do this.";

    fn allows(role: OrganizationRole) -> bool {
        matches!(role, OrganizationRole::Owner | OrganizationRole::Admin)
    }
}

impl OrganizationPermission for Owner {
    const REFUSAL: &'static str = "Only owners of the organization may do this.";

    fn allows(role: OrganizationRole) -> bool {
        role == OrganizationRole::Owner
    }
}

/// Caller who is a member of the organization in the path, with a role that `P` allows.
pub struct OrganizationMember<P = OrganizationRoleAny> {
    pub user_id: UserId,
    pub organization_id: OrganizationId,
    /// The caller's role in it.
    pub role: OrganizationRole,
    permission: PhantomData<P>,
}

impl<P> OrganizationMember<P> {
    /// The ids for signals.
    pub fn actor(&self) -> Actor {
        Actor { user_id: self.user_id, organization_id: Some(self.organization_id), workspace_id: None }
    }
}

#[derive(Deserialize)]
struct OrganizationPath {
    organization_id: OrganizationId,
}

impl<P: OrganizationPermission> FromRequestParts<App> for OrganizationMember<P> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let user = CurrentUser::from_request_parts(parts, app).await?;
        let user_id = user.user_id;
        let Parameters(OrganizationPath { organization_id }) =
            Parameters::from_request_parts(parts, app).await?;
        let mut connection = app.database.acquire().await?;
        let found: Option<Option<OrganizationRole>> = app
            .database
            .run(
                DatabaseOperation::FindOrganizationRole,
                sqlx::query_scalar(
                    "select m.role from sessions s
                     left join organization_members m on m.organization_id = $1 and m.user_id = s.user_id
                     where s.id = $2 and s.user_id = $3 and s.ended_at is null and s.expires_at > $4",
                )
                .bind(organization_id)
                .bind(user.session_id)
                .bind(user_id)
                .bind(app.clock.now())
                .fetch_optional(&mut *connection),
            )
            .await?;
        let role = found.ok_or_else(|| user.session_ended(app))?;
        let role = role.ok_or_else(|| Error::not_found("organization"))?;
        telemetry::current::set(|attributes| attributes.id(&keys::ORGANIZATION_ID, organization_id));
        if !P::allows(role) {
            return Err(Error::forbidden(P::REFUSAL));
        }
        Ok(Self { user_id, organization_id, role, permission: PhantomData })
    }
}

/// Required role in the workspace.
pub trait WorkspacePermission: Send {
    /// Returns whether the role suffices.
    fn allows(role: WorkspaceRole) -> bool;
    /// Message for a member whose role does not suffice.
    const REFUSAL: &'static str;
}

pub struct Member;
/// Managers and authors.
pub struct Author;
/// Managers and reviewers.
pub struct Reviewer;
pub struct Manager;

impl WorkspacePermission for Member {
    const REFUSAL: &'static str = "Only members of the workspace may do this.";

    fn allows(_: WorkspaceRole) -> bool {
        true
    }
}

impl WorkspacePermission for Author {
    const REFUSAL: &'static str = "Only authors and managers of the workspace may do this.";

    fn allows(role: WorkspaceRole) -> bool {
        matches!(role, WorkspaceRole::Author | WorkspaceRole::Manager)
    }
}

impl WorkspacePermission for Reviewer {
    const REFUSAL: &'static str = "Only reviewers and managers of the workspace may do this.";

    fn allows(role: WorkspaceRole) -> bool {
        matches!(role, WorkspaceRole::Reviewer | WorkspaceRole::Manager)
    }
}

impl WorkspacePermission for Manager {
    const REFUSAL: &'static str = "Only managers of the workspace may do this.";

    fn allows(role: WorkspaceRole) -> bool {
        role == WorkspaceRole::Manager
    }
}

/// Caller who is a member of the workspace in the path, with a role that `P` allows. Owners and admins of the
/// organization have a manager's rights in all its workspaces.
pub struct WorkspaceMember<P = Member> {
    pub user_id: UserId,
    /// The organization of the workspace.
    pub organization_id: OrganizationId,
    pub workspace_id: WorkspaceId,
    /// The caller's role in it.
    pub role: WorkspaceRole,
    /// True if the caller is an owner or admin of the organization.
    pub administers: bool,
    permission: PhantomData<P>,
}

impl<P> WorkspaceMember<P> {
    /// The ids for signals.
    pub fn actor(&self) -> Actor {
        let (organization_id, workspace_id) = (Some(self.organization_id), Some(self.workspace_id));
        Actor { user_id: self.user_id, organization_id, workspace_id }
    }
}

#[derive(Deserialize)]
struct WorkspacePath {
    workspace_id: WorkspaceId,
}

impl<P: WorkspacePermission> FromRequestParts<App> for WorkspaceMember<P> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let user = CurrentUser::from_request_parts(parts, app).await?;
        let user_id = user.user_id;
        let Parameters(WorkspacePath { workspace_id }) = Parameters::from_request_parts(parts, app).await?;
        let mut connection = app.database.acquire().await?;
        let found: Option<(Option<OrganizationId>, Option<OrganizationRole>, Option<WorkspaceRole>)> = app
            .database
            .run(
                DatabaseOperation::FindWorkspaceAccess,
                sqlx::query_as(
                    "select w.organization_id, o.role, m.role
                     from sessions s
                     left join workspaces w on w.id = $1
                     left join organization_members o
                         on o.organization_id = w.organization_id and o.user_id = s.user_id
                     left join workspace_members m on m.workspace_id = w.id and m.user_id = s.user_id
                     where s.id = $2 and s.user_id = $3 and s.ended_at is null and s.expires_at > $4",
                )
                .bind(workspace_id)
                .bind(user.session_id)
                .bind(user_id)
                .bind(app.clock.now())
                .fetch_optional(&mut *connection),
            )
            .await?;
        let (organization_id, organization_role, workspace_role) =
            found.ok_or_else(|| user.session_ended(app))?;
        let access =
            organization_id.zip(organization_role).and_then(|(organization_id, organization_role)| {
                let administers = OrganizationAdmin::allows(organization_role);
                let role = if administers { Some(WorkspaceRole::Manager) } else { workspace_role };
                role.map(|role| (organization_id, role, administers))
            });
        let (organization_id, role, administers) = access.ok_or_else(|| Error::not_found("workspace"))?;
        telemetry::current::set(|attributes| {
            attributes.id(&keys::ORGANIZATION_ID, organization_id);
            attributes.id(&keys::WORKSPACE_ID, workspace_id);
        });
        if !P::allows(role) {
            return Err(Error::forbidden(P::REFUSAL));
        }
        Ok(Self { user_id, organization_id, workspace_id, role, administers, permission: PhantomData })
    }
}
