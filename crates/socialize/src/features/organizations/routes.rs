//! Organizations: customers, who own workspaces.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::Quota;
use chrono::{DateTime, Utc};
use domain::ids::OrganizationId;
use domain::vocabulary::OrganizationRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::features::audit;
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Body, Created, CurrentUser, Idempotent, OrganizationAdmin, OrganizationMember, Query,
};
use crate::http::page::{Page, PageQuery, Position};
use crate::platform::signals::Actor;
use crate::platform::text::Name;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_organization, list_organizations))
        .routes(routes!(read_organization, change_organization))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    name: Name,
}

/// Changes to an organization; absent fields stay unchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationChange {
    name: Option<Name>,
}

/// An organization as shown to its members.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Organization {
    id: OrganizationId,
    name: String,
    /// The caller's role.
    role: OrganizationRole,
    created_at: DateTime<Utc>,
}

/// Create an organization
///
/// The caller becomes its owner.
#[utoipa::path(
    post, path = "/v1/organizations", tag = "organizations",
    params(("idempotency-key" = Option<String>, Header, description = "Makes repetition safe.")),
    request_body = NewOrganization,
    responses(
        (status = 201, body = Organization),
        responses::Authenticated, responses::Forbidden, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn create_organization(
    State(app): State<App>,
    user: CurrentUser,
    request: Idempotent<NewOrganization>,
) -> Result<Response, Error> {
    #[cfg(feature = "leak-canary")]
    crate::platform::leak_canary::leak(&app.telemetry, request.body.name.as_str());
    let now = app.clock.now();
    let organization_id = OrganizationId::from(Uuid::now_v7());
    let role = OrganizationRole::Owner;

    let mut transaction = app.database.begin().await?;
    if let Some(earlier) = request.begin_as(&app, &mut transaction, user).await? {
        return Ok(earlier);
    }
    let inserted = app
        .database
        .run(
            DatabaseOperation::InsertOrganization,
            sqlx::query(
                "insert into organizations (id, name, created_by, created_at)
                 select $1, $2, s.user_id, $4 from sessions s
                 where s.id = $5 and s.user_id = $3 and s.ended_at is null and s.expires_at > $4
                     and lock_organizations_of(s.user_id) < $6",
            )
            .bind(organization_id)
            .bind(request.body.name.as_str())
            .bind(user.user_id)
            .bind(now)
            .bind(user.session_id)
            .bind(app.settings.quotas.parameter(Quota::OrganizationsPerUser))
            .execute(&mut *transaction),
        )
        .await?;
    if inserted.rows_affected() == 0 {
        user.require_session(&app, &mut transaction).await?;
        return Err(app.settings.quotas.reached(Quota::OrganizationsPerUser).into());
    }
    app.database
        .run(
            DatabaseOperation::InsertOrganizationMember,
            sqlx::query(
                "insert into organization_members (organization_id, user_id, role, created_at) values ($1, $2, $3, $4)",
            )
            .bind(organization_id)
            .bind(user.user_id)
            .bind(role)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    let author = audit::Author { actor: Some(user.user_id), organization: Some(organization_id), now };
    let joined = audit::Change::organization_membership(user.user_id, None, Some(role));
    let audited = audit::write(&app.database, &mut transaction, author, joined).await?;
    let name = request.body.name.as_str().to_owned();
    let created = Created::new(Organization { id: organization_id, name, role, created_at: now });
    request.complete(&app, &mut transaction, user.user_id, &created).await?;
    app.database.commit(transaction).await?;

    app.signals.organization_created(&Actor {
        user_id: user.user_id,
        organization_id: Some(organization_id),
        workspace_id: None,
    });
    audited.signal(&app.signals);
    Ok(created.into_response())
}

/// List the organizations that the caller belongs to
#[utoipa::path(
    get, path = "/v1/organizations", tag = "organizations",
    params(PageQuery),
    responses((status = 200, body = Page<Organization>), responses::Authenticated, responses::BadRequest),
    security(("access_token" = []))
)]
async fn list_organizations(
    State(app): State<App>,
    user: CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Organization>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let organizations: Vec<Organization> = app
        .database
        .run(
            DatabaseOperation::ListOrganizations,
            sqlx::query_as(
                "select o.id, o.name, m.role, o.created_at
                 from organization_members m join organizations o on o.id = m.organization_id
                 join sessions s on s.user_id = m.user_id
                     and s.id = $5 and s.user_id = $1 and s.ended_at is null and s.expires_at > $6
                 where m.user_id = $1 and ($2::timestamptz is null or (o.created_at, o.id) < ($2, $3))
                 order by o.created_at desc, o.id desc limit $4",
            )
            .bind(user.user_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(user.session_id)
            .bind(app.clock.now())
            .fetch_all(&mut *connection),
        )
        .await?;
    if organizations.is_empty() {
        user.require_session(&app, &mut connection).await?;
    }
    let position = |item: &Organization| Position { created_at: item.created_at, id: item.id.uuid() };
    Ok(Json(Page::of(organizations, rows, position)))
}

/// Read an organization
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}", tag = "organizations",
    params(("organization_id" = OrganizationId, Path)),
    responses((status = 200, body = Organization), responses::Authenticated, responses::NotFound),
    security(("access_token" = []))
)]
async fn read_organization(
    State(app): State<App>,
    member: OrganizationMember,
) -> Result<Json<Organization>, Error> {
    let mut connection = app.database.acquire().await?;
    let organization: Option<Organization> = app
        .database
        .run(
            DatabaseOperation::FindOrganization,
            sqlx::query_as("select id, name, $2 as role, created_at from organizations where id = $1")
                .bind(member.organization_id)
                .bind(member.role)
                .fetch_optional(&mut *connection),
        )
        .await?;
    organization.map(Json).ok_or_else(|| Error::not_found("organization"))
}

/// Change an organization
///
/// Owners and admins may do this.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}", tag = "organizations",
    params(("organization_id" = OrganizationId, Path)),
    request_body = OrganizationChange,
    responses(
        (status = 200, body = Organization),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn change_organization(
    State(app): State<App>,
    member: OrganizationMember<OrganizationAdmin>,
    Body(change): Body<OrganizationChange>,
) -> Result<Json<Organization>, Error> {
    #[cfg(feature = "leak-canary")]
    change.name.as_ref().map(Name::as_str).map_or((), crate::platform::leak_canary::misbehave);
    let mut transaction = app.database.begin().await?;
    let organization: Option<Organization> = app
        .database
        .run(
            DatabaseOperation::UpdateOrganization,
            sqlx::query_as(
                "update organizations set name = coalesce($3, name) where id = $1
                 returning id, name, $2 as role, created_at",
            )
            .bind(member.organization_id)
            .bind(member.role)
            .bind(change.name.as_ref().map(Name::as_str))
            .fetch_optional(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;
    organization.map(Json).ok_or_else(|| Error::not_found("organization"))
}
