//! Acceptance of an invite: the caller becomes a member of the workspace and of its organization.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::ErrorCode;
use chrono::{DateTime, Utc};
use domain::ids::{InviteId, OrganizationId, WorkspaceId};
use domain::vocabulary::{InviteStatus, OrganizationRole, WorkspaceRole};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::activity::touch_workspace;
use crate::app::App;
use crate::features::audit;
use crate::http::error::{Error, ErrorBody, responses};
use crate::http::extract::{Created, CurrentUser, Idempotent};
use crate::platform::secret::Secret;
use crate::platform::token::LinkPurpose;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(accept_workspace_invite))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceInviteAcceptance {
    /// The token in the e-mailed link.
    #[schema(value_type = String)]
    token: Secret,
}

/// The result of accepting an invite.
#[derive(Serialize, ToSchema)]
pub struct AcceptedWorkspaceInvite {
    organization_id: OrganizationId,
    workspace_id: WorkspaceId,
    /// The caller's role in the workspace. A user who was already a member keeps their role.
    role: WorkspaceRole,
}

/// Accept an invite
///
/// The caller's e-mail address must be confirmed and match the invited one. The caller becomes a member of
/// the workspace and, if necessary, of its organization. An invite becomes void if its inviter loses the
/// right to invite into the workspace.
#[utoipa::path(
    post, path = "/v1/invites/accept", tag = "workspace invites",
    params(("idempotency-key" = Option<String>, Header, description = "Makes repetition safe.")),
    request_body = WorkspaceInviteAcceptance,
    responses(
        (status = 201, body = AcceptedWorkspaceInvite),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
        (status = 410, body = ErrorBody, description = "It was accepted, revoked or has expired."),
    ),
    security(("access_token" = []))
)]
async fn accept_workspace_invite(
    State(app): State<App>,
    user: CurrentUser,
    request: Idempotent<WorkspaceInviteAcceptance>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let token = request.body.token.expose();
    let invite_id = app.tokens.verify_link(LinkPurpose::WorkspaceInvite, token).map(InviteId::from);
    let invite_id = invite_id.ok_or_else(|| Error::not_found("invite"))?;
    telemetry::current::set(|attributes| attributes.id(&keys::INVITE_ID, invite_id));

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin_as(&app, &mut transaction, user).await? {
        return Ok(earlier);
    }
    let invite: Option<Invite> = app
        .database
        .run(
            DatabaseOperation::LockWorkspaceInvite,
            sqlx::query_as(
                "select w.organization_id, i.workspace_id, i.role, i.status, i.expires_at,
                     i.email = u.email as is_for_caller, u.email_verified_at is not null as caller_is_verified,
                     may_invite(i.invited_by, i.workspace_id) as inviter_may_invite
                 from workspace_invites i
                 join workspaces w on w.id = i.workspace_id
                 join users u on u.id = $2
                 join sessions s on s.user_id = u.id
                     and s.id = $3 and s.user_id = $2 and s.ended_at is null and s.expires_at > $4
                 where i.id = $1 for no key update of i",
            )
            .bind(invite_id)
            .bind(user.user_id)
            .bind(user.session_id)
            .bind(now)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let Some(invite) = invite else {
        user.require_session(&app, &mut transaction).await?;
        return Err(Error::not_found("invite"));
    };
    invite.allow(now)?;
    let (organization_id, workspace_id) = (invite.organization_id, invite.workspace_id);
    telemetry::current::set(|attributes| {
        attributes.id(&keys::ORGANIZATION_ID, organization_id);
        attributes.id(&keys::WORKSPACE_ID, workspace_id);
    });

    // Existing members keep their role. The no-op update locks the row, so that nobody can remove it before
    // the commit.
    let (is_new_there, organization_role): (bool, OrganizationRole) = app
        .database
        .run(
            DatabaseOperation::InsertOrganizationMember,
            sqlx::query_as(
                "insert into organization_members (organization_id, user_id, role, created_at)
                 values ($1, $2, $3, $4)
                 on conflict (organization_id, user_id) do update set role = organization_members.role
                 returning xmax = 0, role",
            )
            .bind(organization_id)
            .bind(user.user_id)
            .bind(OrganizationRole::Member)
            .bind(now)
            .fetch_one(&mut *transaction),
        )
        .await?;
    let (is_new, role): (bool, WorkspaceRole) = app
        .database
        .run(
            DatabaseOperation::InsertWorkspaceMember,
            sqlx::query_as(
                "insert into workspace_members (workspace_id, organization_id, user_id, role, created_at)
                 values ($1, $2, $3, $4, $5)
                 on conflict (workspace_id, user_id) do update set role = workspace_members.role
                 returning xmax = 0, role",
            )
            .bind(workspace_id)
            .bind(organization_id)
            .bind(user.user_id)
            .bind(invite.role)
            .bind(now)
            .fetch_one(&mut *transaction),
        )
        .await?;
    app.database
        .run(
            DatabaseOperation::AcceptWorkspaceInvite,
            sqlx::query(
                "update workspace_invites set status = 'accepted', accepted_by = $2, closed_at = $3 where id = $1",
            )
            .bind(invite_id)
            .bind(user.user_id)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    let joined_organization =
        audit::Change::organization_membership(user.user_id, None, Some(organization_role));
    let joined = audit::Change::workspace_membership(workspace_id, user.user_id, None, Some(role));
    let changes = joined_organization.filter(|_| is_new_there).into_iter().chain(joined.filter(|_| is_new));
    let author = audit::Author { actor: Some(user.user_id), organization: Some(organization_id), now };
    let audited = audit::write(&app.database, &mut transaction, author, changes).await?;
    touch_workspace(&app, &mut transaction, workspace_id).await?;
    let created = Created::new(AcceptedWorkspaceInvite { organization_id, workspace_id, role });
    request.complete(&app, &mut transaction, user.user_id, &created).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(created.into_response())
}

/// The facts that decide whether the caller may accept an invite. Addresses are compared in the database.
#[derive(sqlx::FromRow)]
struct Invite {
    organization_id: OrganizationId,
    workspace_id: WorkspaceId,
    role: WorkspaceRole,
    status: InviteStatus,
    expires_at: DateTime<Utc>,
    is_for_caller: bool,
    caller_is_verified: bool,
    inviter_may_invite: bool,
}

impl Invite {
    /// Checks the recipient first: other users do not learn the state of the invite. Expiry depends on the
    /// clock, whether the job has run or not.
    fn allow(&self, now: DateTime<Utc>) -> Result<(), Error> {
        if !self.is_for_caller {
            let message =
                "This invite was sent to another e-mail address: log in as the user with that address.";
            return Err(Error::forbidden(message));
        }
        if !self.caller_is_verified {
            let message = "Confirm your e-mail address first: follow the link that was sent to it.";
            return Err(Error::refused(ErrorCode::EmailNotVerified, message));
        }
        let message = match self.status {
            InviteStatus::Pending if now < self.expires_at && self.inviter_may_invite => return Ok(()),
            // Losing the right to invite revokes invites, but one may have been created concurrently.
            InviteStatus::Pending if now < self.expires_at => "This invite was revoked.",
            InviteStatus::Pending | InviteStatus::Expired => {
                "This invite has expired: ask a manager of the workspace for a new one."
            }
            InviteStatus::Revoked => "This invite was revoked.",
            InviteStatus::Accepted => "This invite has been accepted already.",
        };
        Err(Error::refused(ErrorCode::LinkExpired, message))
    }
}
