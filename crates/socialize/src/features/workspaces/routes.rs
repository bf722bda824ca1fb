//! Workspaces: brands, each of whose content is approved together.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::Quota;
use chrono::{DateTime, Utc};
use domain::approval::RequiredApprovals;
use domain::audit::AuditAction;
use domain::ids::{OrganizationId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::activity::touch_workspace;
use crate::app::App;
use crate::features::audit;
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Body, Created, Idempotent, Manager, OrganizationAdmin, OrganizationMember, OrganizationPermission, Query,
    WorkspaceMember,
};
use crate::http::page::{Page, PageQuery, Position};
use crate::platform::signals::Actor;
use crate::platform::text::Name;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_workspace, list_workspaces))
        .routes(routes!(read_workspace, change_workspace))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    name: Name,
    /// Number of approvals that a revision needs.
    required_approvals: RequiredApprovals,
    /// True if users may decide on revisions that they wrote.
    #[serde(default)]
    allow_self_approval: bool,
}

/// Changes to a workspace; absent fields stay unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceChange {
    name: Option<Name>,
    /// Number of approvals that a revision needs, from the next decision on.
    required_approvals: Option<RequiredApprovals>,
    /// True if users may decide on revisions that they wrote.
    allow_self_approval: Option<bool>,
}

/// A workspace as shown to its members.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Workspace {
    id: WorkspaceId,
    organization_id: OrganizationId,
    name: String,
    #[sqlx(try_from = "i32")]
    required_approvals: RequiredApprovals,
    allow_self_approval: bool,
    /// The caller's role. Owners and admins of the organization are managers of all its workspaces.
    role: WorkspaceRole,
    created_at: DateTime<Utc>,
}

/// Create a workspace
///
/// Owners and admins of the organization may do this. The caller becomes its manager.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/workspaces", tag = "workspaces",
    params(
        ("organization_id" = OrganizationId, Path),
        ("idempotency-key" = Option<String>, Header, description = "Makes repetition safe."),
    ),
    request_body = NewWorkspace,
    responses(
        (status = 201, body = Workspace),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn create_workspace(
    State(app): State<App>,
    member: OrganizationMember<OrganizationAdmin>,
    request: Idempotent<NewWorkspace>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let (user_id, organization_id) = (member.user_id, member.organization_id);
    let workspace_id = WorkspaceId::from(Uuid::now_v7());
    let role = WorkspaceRole::Manager;

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin(&app, &mut transaction, user_id).await? {
        return Ok(earlier);
    }
    let NewWorkspace { name, required_approvals, allow_self_approval } = &request.body;
    let inserted = app
        .database
        .run(
            DatabaseOperation::InsertWorkspace,
            sqlx::query(
                "insert into workspaces
                     (id, organization_id, name, required_approvals, allow_self_approval, last_active_at, created_at)
                 select $1, $2, $3, $4, $5, $6, $6 where lock_workspaces_of($2) < $7",
            )
            .bind(workspace_id)
            .bind(organization_id)
            .bind(name.as_str())
            .bind(required_approvals.get())
            .bind(allow_self_approval)
            .bind(now)
            .bind(app.settings.quotas.parameter(Quota::WorkspacesPerOrganization))
            .execute(&mut *transaction),
        )
        .await?;
    if inserted.rows_affected() == 0 {
        return Err(app.settings.quotas.reached(Quota::WorkspacesPerOrganization).into());
    }
    app.database
        .run(
            DatabaseOperation::InsertWorkspaceMember,
            sqlx::query(
                "insert into workspace_members (workspace_id, organization_id, user_id, role, created_at)
                 values ($1, $2, $3, $4, $5)",
            )
            .bind(workspace_id)
            .bind(organization_id)
            .bind(user_id)
            .bind(role)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    let author = audit::Author { actor: Some(user_id), organization: Some(organization_id), now };
    let joined = audit::Change::workspace_membership(workspace_id, user_id, None, Some(role));
    let audited = audit::write(&app.database, &mut transaction, author, joined).await?;
    let created = Created::new(Workspace {
        id: workspace_id,
        organization_id,
        name: name.as_str().to_owned(),
        required_approvals: *required_approvals,
        allow_self_approval: *allow_self_approval,
        role,
        created_at: now,
    });
    request.complete(&app, &mut transaction, user_id, &created).await?;
    app.database.commit(transaction).await?;

    app.signals.workspace_created(&Actor { workspace_id: Some(workspace_id), ..member.actor() });
    audited.signal(&app.signals);
    Ok(created.into_response())
}

/// List the workspaces of an organization
///
/// Owners and admins see all of them, members see their own.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/workspaces", tag = "workspaces",
    params(("organization_id" = OrganizationId, Path), PageQuery),
    responses(
        (status = 200, body = Page<Workspace>),
        responses::Authenticated, responses::NotFound, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_workspaces(
    State(app): State<App>,
    member: OrganizationMember,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Workspace>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let workspaces: Vec<Workspace> = app
        .database
        .run(
            DatabaseOperation::ListWorkspaces,
            sqlx::query_as(
                "select w.id, w.organization_id, w.name, w.required_approvals, w.allow_self_approval,
                     case when $2 then 'manager' else m.role end as role, w.created_at
                 from workspaces w
                 left join workspace_members m on m.workspace_id = w.id and m.user_id = $3
                 where w.organization_id = $1 and ($2 or m.user_id is not null)
                     and ($4::timestamptz is null or (w.created_at, w.id) < ($4, $5))
                 order by w.created_at desc, w.id desc limit $6",
            )
            .bind(member.organization_id)
            .bind(OrganizationAdmin::allows(member.role))
            .bind(member.user_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position =
        |workspace: &Workspace| Position { created_at: workspace.created_at, id: workspace.id.uuid() };
    Ok(Json(Page::of(workspaces, rows, position)))
}

/// Read a workspace
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}", tag = "workspaces",
    params(("workspace_id" = WorkspaceId, Path)),
    responses((status = 200, body = Workspace), responses::Authenticated, responses::NotFound),
    security(("access_token" = []))
)]
async fn read_workspace(State(app): State<App>, member: WorkspaceMember) -> Result<Json<Workspace>, Error> {
    let mut connection = app.database.acquire().await?;
    let workspace: Option<Workspace> = app
        .database
        .run(
            DatabaseOperation::FindWorkspace,
            sqlx::query_as(
                "select id, organization_id, name, required_approvals, allow_self_approval, $2 as role, created_at
                 from workspaces where id = $1",
            )
            .bind(member.workspace_id)
            .bind(member.role)
            .fetch_optional(&mut *connection),
        )
        .await?;
    workspace.map(Json).ok_or_else(|| Error::not_found("workspace"))
}

/// Change a workspace
///
/// Managers may do this.
#[utoipa::path(
    patch, path = "/v1/workspaces/{workspace_id}", tag = "workspaces",
    params(("workspace_id" = WorkspaceId, Path)),
    request_body = WorkspaceChange,
    responses(
        (status = 200, body = Workspace),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn change_workspace(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Body(change): Body<WorkspaceChange>,
) -> Result<Json<Workspace>, Error> {
    let mut transaction = app.database.begin().await?;
    let changed: Option<ChangedWorkspace> = app
        .database
        .run(
            DatabaseOperation::UpdateWorkspace,
            sqlx::query_as(
                "with before as (
                     select id, required_approvals, allow_self_approval from workspaces where id = $1 for no key update
                 )
                 update workspaces w set
                     name = coalesce($3, w.name),
                     required_approvals = coalesce($4, before.required_approvals),
                     allow_self_approval = coalesce($5, before.allow_self_approval)
                 from before where w.id = before.id
                 returning w.id, w.organization_id, w.name, w.required_approvals, w.allow_self_approval, $2 as role,
                     w.created_at, before.required_approvals as approvals_before,
                     before.allow_self_approval as self_approval_before",
            )
            .bind(member.workspace_id)
            .bind(member.role)
            .bind(change.name.as_ref().map(Name::as_str))
            .bind(change.required_approvals.map(RequiredApprovals::get))
            .bind(change.allow_self_approval)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let changed = changed.ok_or_else(|| Error::not_found("workspace"))?;
    let author = audit::Author {
        actor: Some(member.user_id),
        organization: Some(member.organization_id),
        now: app.clock.now(),
    };
    let audited = audit::write(&app.database, &mut transaction, author, changed.audited()).await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(Json(changed.workspace))
}

/// The changed workspace, with its previous rules of approval.
#[derive(sqlx::FromRow)]
struct ChangedWorkspace {
    #[sqlx(flatten)]
    workspace: Workspace,
    approvals_before: i32,
    self_approval_before: bool,
}

impl ChangedWorkspace {
    fn audited(&self) -> Vec<audit::Change> {
        let Self { workspace, approvals_before, self_approval_before } = self;
        let (approvals, self_approval) = (workspace.required_approvals.get(), workspace.allow_self_approval);
        let change = |action, before, after| audit::Change {
            workspace: Some(workspace.id),
            before: Some(before),
            after: Some(after),
            ..audit::Change::of(action)
        };
        let mut changes = Vec::new();
        if approvals != *approvals_before {
            let (before, after) = (audit::Value::Number(*approvals_before), audit::Value::Number(approvals));
            changes.push(change(AuditAction::RequiredApprovalsChanged, before, after));
        }
        if self_approval != *self_approval_before {
            let (before, after) =
                (audit::Value::Flag(*self_approval_before), audit::Value::Flag(self_approval));
            changes.push(change(AuditAction::SelfApprovalChanged, before, after));
        }
        changes
    }
}
