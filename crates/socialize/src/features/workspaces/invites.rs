//! Invites into workspaces. The e-mailed link is derived from the invite's id, so nothing that is stored can
//! be used to accept one.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::ErrorCode;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{InviteId, OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{InviteStatus, WorkspaceRole};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::activity::touch_workspace;
use crate::app::App;
use crate::features::email::Email;
use crate::features::email::email_limits;
use crate::http::error::{Error, ErrorBody, responses};
use crate::http::extract::{Created, Idempotent, Manager, Parameters, Query, WorkspaceMember};
use crate::http::page::{Page, PageQuery, Position};
use crate::platform::database::{self, Transaction};
use crate::platform::text::EmailAddress;

pub const INVITE_LIFETIME: TimeDelta = TimeDelta::days(7);

/// Maximum number of invites that a workspace creates in a day, including revoked ones: each sends an e-mail
/// to an unconfirmed address. [`email_limits`] has the limits per user, organization and recipient.
const INVITE_LIMIT: i64 = 100;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_workspace_invite, list_workspace_invites))
        .routes(routes!(revoke_workspace_invite))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspaceInvite {
    email: EmailAddress,
    /// Role of the invited user in the workspace.
    role: WorkspaceRole,
}

/// An invite as shown to managers of the workspace.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct WorkspaceInvite {
    id: InviteId,
    workspace_id: WorkspaceId,
    email: String,
    role: WorkspaceRole,
    status: InviteStatus,
    invited_by: UserId,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// The user who accepted it.
    accepted_by: Option<UserId>,
}

#[derive(Deserialize)]
struct InvitePath {
    invite_id: InviteId,
}

/// Filters of a list of invites.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InviteQuery {
    /// Only invites with this status.
    status: Option<InviteStatus>,
    /// Maximum number of invites; default 50.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// Invite somebody into a workspace
///
/// Managers may do this. The link in the e-mail is valid for seven days.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/invites", tag = "workspace invites",
    params(
        ("workspace_id" = WorkspaceId, Path),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body = NewWorkspaceInvite,
    responses(
        (status = 201, body = WorkspaceInvite),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
        (
            status = 429, body = ErrorBody,
            description = "Too many invites by the caller, into this workspace, of this organization, or to this \
                           address."
        ),
    ),
    security(("access_token" = []))
)]
async fn create_workspace_invite(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    request: Idempotent<NewWorkspaceInvite>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let invite_id = InviteId::from(Uuid::now_v7());
    let NewWorkspaceInvite { email, role } = &request.body;

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(&app, &mut transaction, member.user_id).await? {
        return Ok(earlier);
    }
    let is_member: bool = app
        .database
        .run(
            DatabaseOperation::FindWorkspaceMember,
            sqlx::query_scalar(
                "select exists (
                     select from workspace_members m join users u on u.id = m.user_id
                     where m.workspace_id = $1 and u.email = $2
                 )",
            )
            .bind(member.workspace_id)
            .bind(email.as_str())
            .fetch_one(&mut *transaction),
        )
        .await?;
    if is_member {
        let message = "Somebody with this e-mail address is a member of the workspace already.";
        return Err(Error::refused(ErrorCode::AlreadyExists, message));
    }
    check_limits(&app, &mut transaction, &member, email, now).await?;
    // An expired invite that the job has not found yet must not block a new one.
    app.database
        .run(
            DatabaseOperation::ExpireWorkspaceInvites,
            sqlx::query(
                "update workspace_invites set status = 'expired', closed_at = $3
                 where workspace_id = $1 and email = $2 and status = 'pending' and expires_at <= $3",
            )
            .bind(member.workspace_id)
            .bind(email.as_str())
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    let invite: Option<WorkspaceInvite> = app
        .database
        .run(
            DatabaseOperation::InsertWorkspaceInvite,
            sqlx::query_as(
                "insert into workspace_invites
                     (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
                 values ($1, $2, $3, $4, 'pending', $5, $6, $7)
                 on conflict (workspace_id, email) where status = 'pending' do nothing
                 returning id, workspace_id, email, role, status, invited_by, created_at, expires_at, accepted_by",
            )
            .bind(invite_id)
            .bind(member.workspace_id)
            .bind(email.as_str())
            .bind(role)
            .bind(member.user_id)
            .bind(now)
            .bind(now + INVITE_LIFETIME)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let invite = invite.ok_or_else(|| {
        let message =
            "This e-mail address has a pending invite into the workspace: revoke that to send another.";
        Error::refused(ErrorCode::AlreadyExists, message)
    })?;
    let created = Created::new(invite);
    Email::WorkspaceInvite { invite: invite_id }.enqueue(&app, &mut transaction).await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    request.complete(&app, &mut transaction, member.user_id, &created).await?;
    app.database.commit(transaction).await?;

    app.signals.workspace_invite_created(&member.actor(), invite_id, created.body.role);
    Ok(created.into_response())
}

/// List the invites into a workspace
///
/// Managers may do this.
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/invites", tag = "workspace invites",
    params(("workspace_id" = WorkspaceId, Path), InviteQuery),
    responses(
        (status = 200, body = Page<WorkspaceInvite>),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_workspace_invites(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Query(query): Query<InviteQuery>,
) -> Result<Json<Page<WorkspaceInvite>>, Error> {
    let page = PageQuery::new(query.limit, query.cursor);
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    // An expired invite is shown as expired, whether the job has found it or not.
    let invites: Vec<WorkspaceInvite> = app
        .database
        .run(
            DatabaseOperation::ListWorkspaceInvites,
            sqlx::query_as(
                "select * from (
                     select id, workspace_id, email, role,
                         case when status = 'pending' and expires_at <= $2 then 'expired' else status end as status,
                         invited_by, created_at, expires_at, accepted_by
                     from workspace_invites where workspace_id = $1
                 ) invite
                 where ($3::text is null or status = $3)
                     and ($4::timestamptz is null or (created_at, id) < ($4, $5))
                 order by created_at desc, id desc limit $6",
            )
            .bind(member.workspace_id)
            .bind(app.clock.now())
            .bind(query.status)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position =
        |invite: &WorkspaceInvite| Position { created_at: invite.created_at, id: invite.id.uuid() };
    Ok(Json(Page::of(invites, rows, position)))
}

/// Revoke an invite
///
/// Managers may do this. Its link stops working. An invite that is no longer pending stays unchanged.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}/invites/{invite_id}", tag = "workspace invites",
    params(("workspace_id" = WorkspaceId, Path), ("invite_id" = InviteId, Path)),
    responses(
        (status = 204, description = "Its link does not work."),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn revoke_workspace_invite(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Parameters(InvitePath { invite_id }): Parameters<InvitePath>,
) -> Result<StatusCode, Error> {
    telemetry::current::set(|attributes| attributes.id(&keys::INVITE_ID, invite_id));
    let mut transaction = app.database.begin().await?;
    let status: Option<InviteStatus> = app
        .database
        .run(
            DatabaseOperation::LockWorkspaceInvite,
            sqlx::query_scalar(
                "select status from workspace_invites where id = $1 and workspace_id = $2 for no key update",
            )
            .bind(invite_id)
            .bind(member.workspace_id)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    match status {
        None => return Err(Error::not_found("invite")),
        Some(InviteStatus::Accepted) => {
            let message = "This invite has been accepted: remove the member instead.";
            return Err(Error::refused(ErrorCode::Conflict, message));
        }
        Some(InviteStatus::Revoked | InviteStatus::Expired) => return Ok(StatusCode::NO_CONTENT),
        Some(InviteStatus::Pending) => {}
    }
    app.database
        .run(
            DatabaseOperation::RevokeWorkspaceInvite,
            sqlx::query("update workspace_invites set status = 'revoked', closed_at = $2 where id = $1")
                .bind(invite_id)
                .bind(app.clock.now())
                .execute(&mut *transaction),
        )
        .await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the limits of invites for the workspace, the inviter, the organization, and the recipient's
/// mailbox. The state of earlier invites does not matter, because each has sent an e-mail.
async fn check_limits(
    app: &App,
    transaction: &mut Transaction,
    member: &WorkspaceMember<Manager>,
    email: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    // For each limit, the creation time of the invite that reaches it.
    let used_up: [Option<DateTime<Utc>>; 4] = app
        .database
        .run(
            DatabaseOperation::FindWorkspaceInviteLimit,
            sqlx::query_as(
                "select
                     (select created_at from workspace_invites where workspace_id = $1
                      order by created_at desc, id desc offset $2 - 1 limit 1),
                     (select created_at from workspace_invites where invited_by = $3
                      order by created_at desc offset $4 - 1 limit 1),
                     (select i.created_at from workspace_invites i join workspaces w on w.id = i.workspace_id
                      where w.organization_id = $5 and i.created_at > $9
                      order by i.created_at desc offset $6 - 1 limit 1),
                     (select created_at from workspace_invites
                      where email_recipient_key(email) = email_recipient_key($7)
                      order by created_at desc offset $8 - 1 limit 1)",
            )
            .bind(member.workspace_id)
            .bind(INVITE_LIMIT)
            .bind(member.user_id)
            .bind(email_limits::INVITES_OF_ACTOR)
            .bind(member.organization_id)
            .bind(email_limits::INVITES_OF_ORGANIZATION)
            .bind(email.as_str())
            .bind(email_limits::INVITES_TO_RECIPIENT)
            .bind(now - email_limits::INVITES_PERIOD)
            .fetch_one(&mut **transaction),
        )
        .await
        .map(|(workspace, inviter, organization, recipient)| [workspace, inviter, organization, recipient])?;
    let messages = [
        "This workspace has created as many invites as it can in a day.",
        "You have created as many invites as one can in a day.",
        "This organization has created as many invites as it can in a day.",
        "This e-mail address was invited as often as it can be in a day.",
    ];
    let free_at =
        used_up.map(|created_at| created_at.map(|created_at| created_at + email_limits::INVITES_PERIOD));
    let latest = free_at.into_iter().zip(messages).filter_map(|(free_at, message)| Some((free_at?, message)));
    match latest.max_by_key(|(free_at, _)| *free_at) {
        Some((free_at, message)) if free_at > now => {
            Err(Error::rate_limited(message, (free_at - now).num_seconds().unsigned_abs() + 1))
        }
        _ => Ok(()),
    }
}

/// Revokes the pending invites of a member who loses the right to invite by one of their roles: into one
/// workspace, or into all workspaces of the organization. Invites that the other role still allows stay.
///
/// Call it before the members are locked, the same order as in accepting an invite.
pub(crate) async fn revoke_invites_of(
    app: &App,
    transaction: &mut Transaction,
    inviter: UserId,
    organization_id: OrganizationId,
    workspace_id: Option<WorkspaceId>,
) -> database::Result<()> {
    app.database
        .run(
            DatabaseOperation::RevokeWorkspaceInvite,
            sqlx::query(
                "update workspace_invites i set status = 'revoked', closed_at = $4
                 from workspaces w
                 join organization_members o on o.organization_id = w.organization_id and o.user_id = $1
                 left join workspace_members m on m.workspace_id = w.id and m.user_id = $1
                 where w.organization_id = $2 and ($3::uuid is null or w.id = $3)
                     and i.workspace_id = w.id and i.invited_by = $1 and i.status = 'pending'
                     and case when $3::uuid is null then m.role is distinct from 'manager'
                         else o.role not in ('owner', 'admin') end",
            )
            .bind(inviter)
            .bind(organization_id)
            .bind(workspace_id)
            .bind(app.clock.now())
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}
