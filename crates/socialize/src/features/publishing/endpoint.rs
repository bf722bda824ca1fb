//! Publishing endpoint of a workspace, and the secret that signs its deliveries.

use axum::Json;
use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::PublishingEndpointChange;
use chrono::{DateTime, TimeDelta, Utc};
use domain::audit::AuditAction;
use domain::ids::WorkspaceId;
use domain::limits;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::publication::StoredEndpoint;
use crate::app::App;
use crate::features::audit;
use crate::features::workspaces::activity::touch_workspace;
use crate::http::error::{Error, responses};
use crate::http::extract::{Body, Manager, WorkspaceMember};
use crate::platform::outbound::UrlRefusal;
use crate::platform::text::Text;

/// Period in which deliveries are also signed with the previous secret.
const PREVIOUS_SECRET_LIFETIME: TimeDelta = TimeDelta::hours(24);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read_publishing_endpoint, set_publishing_endpoint, delete_publishing_endpoint))
        .routes(routes!(rotate_publishing_secret))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPublishingEndpoint {
    /// An HTTPS URL on the public Internet. Redirects are not followed.
    url: Text<{ *limits::PUBLISHING_ENDPOINT_URL.start() }, { *limits::PUBLISHING_ENDPOINT_URL.end() }>,
}

#[derive(Serialize, ToSchema)]
struct PublishingEndpoint {
    url: String,
    /// Time at which the endpoint refused further deliveries with 410. Setting the endpoint again enables it.
    disabled_at: Option<DateTime<Utc>>,
    /// Time until which deliveries are also signed with the previous secret.
    previous_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// An endpoint, with its secret if that is new.
#[derive(Serialize, ToSchema)]
struct PublishingEndpointWithSecret {
    #[serde(flatten)]
    endpoint: PublishingEndpoint,
    /// Secret that signs deliveries, for the receiver's Standard Webhooks library. Shown only once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
}

impl PublishingEndpoint {
    fn of(stored: StoredEndpoint, now: DateTime<Utc>) -> Self {
        let StoredEndpoint { url, disabled_at, created_at, updated_at, previous_secret_until, .. } = stored;
        let previous_secret_until = previous_secret_until.filter(|until| now < *until);
        Self { url, disabled_at, previous_secret_until, created_at, updated_at }
    }
}

/// Read the publishing endpoint
///
/// Managers may do this.
#[utoipa::path(
    get, path = "/v1/workspaces/{workspace_id}/publishing-endpoint", tag = "publishing",
    params(("workspace_id" = WorkspaceId, Path)),
    responses(
        (status = 200, body = PublishingEndpoint),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn read_publishing_endpoint(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
) -> Result<Json<PublishingEndpoint>, Error> {
    let mut connection = app.database.acquire().await?;
    let stored = StoredEndpoint::find(&app, &mut connection, member.workspace_id).await?;
    let stored = stored.ok_or_else(|| Error::not_found("publishing endpoint"))?;
    Ok(Json(PublishingEndpoint::of(stored, app.clock.now())))
}

/// Set the publishing endpoint
///
/// Managers may do this. At their time, scheduled content items are delivered to it as `POST` requests,
/// signed according to Standard Webhooks; `docs/PUBLISHING.md` describes the requests. Socialize generates
/// the secret and shows it when the endpoint is created; a change of the URL keeps it.
#[utoipa::path(
    put, path = "/v1/workspaces/{workspace_id}/publishing-endpoint", tag = "publishing",
    params(("workspace_id" = WorkspaceId, Path)),
    request_body = NewPublishingEndpoint,
    responses(
        (status = 200, body = PublishingEndpointWithSecret, description = "The endpoint was replaced."),
        (
            status = 201, body = PublishingEndpointWithSecret,
            description = "The endpoint was created, with a new secret."
        ),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn set_publishing_endpoint(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Body(new): Body<NewPublishingEndpoint>,
) -> Result<(StatusCode, Json<PublishingEndpointWithSecret>), Error> {
    let url = check_url(&app, new.url.as_str())?;
    let (now, new_secret_id) = (app.clock.now(), Uuid::new_v4());

    let mut transaction = app.database.begin().await?;
    let SetEndpoint { stored, url_before } = app
        .database
        .run(
            DatabaseOperation::UpsertPublishingEndpoint,
            sqlx::query_as(
                "with earlier as (select url from publishing_endpoints where workspace_id = $1)
                 insert into publishing_endpoints (workspace_id, url, secret_id, created_at, updated_at)
                 values ($1, $2, $3, $4, $4)
                 on conflict (workspace_id) do update set url = $2, disabled_at = null, updated_at = $4,
                     slowness = case when publishing_endpoints.url = $2 then publishing_endpoints.slowness else 0 end,
                     has_answered = publishing_endpoints.has_answered and publishing_endpoints.url = $2
                 returning url, secret_id, previous_secret_id, previous_secret_until, disabled_at, slowness,
                     has_answered, created_at, updated_at, (select url from earlier) as url_before",
            )
            .bind(member.workspace_id)
            .bind(url.as_str())
            .bind(new_secret_id)
            .bind(now)
            .fetch_one(&mut *transaction),
        )
        .await?;
    let change = audit::Change {
        before: url_before.map(audit::Value::Url),
        after: Some(audit::Value::Url(stored.url.clone())),
        ..change(&member, AuditAction::PublishingEndpointSet)
    };
    let audited = audit::write(&app.database, &mut transaction, author(&member, now), [change]).await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    let is_new = stored.secret_id == new_secret_id;
    let change = if is_new { PublishingEndpointChange::Created } else { PublishingEndpointChange::Replaced };
    app.signals.publishing_endpoint_changed(&member.actor(), change);
    let secret = is_new.then(|| app.tokens.signing_secret(new_secret_id).to_text().expose().to_owned());
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let endpoint = PublishingEndpoint::of(stored, now);
    Ok((status, Json(PublishingEndpointWithSecret { endpoint, secret })))
}

/// Replace the signing secret
///
/// Managers may do this. For a day, deliveries carry the signatures of both secrets, so that the receiver can
/// switch without rejecting any. Another replacement within that day invalidates the older secret at once.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/publishing-endpoint/rotate-secret", tag = "publishing",
    params(("workspace_id" = WorkspaceId, Path)),
    responses(
        (status = 200, body = PublishingEndpointWithSecret),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn rotate_publishing_secret(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
) -> Result<Json<PublishingEndpointWithSecret>, Error> {
    let (now, new_secret_id) = (app.clock.now(), Uuid::new_v4());

    let mut transaction = app.database.begin().await?;
    let stored: Option<StoredEndpoint> = app
        .database
        .run(
            DatabaseOperation::RotatePublishingSecret,
            sqlx::query_as(
                "update publishing_endpoints
                 set previous_secret_id = secret_id, previous_secret_until = $3, secret_id = $2, updated_at = $4
                 where workspace_id = $1
                 returning url, secret_id, previous_secret_id, previous_secret_until, disabled_at, slowness,
                     has_answered, created_at, updated_at",
            )
            .bind(member.workspace_id)
            .bind(new_secret_id)
            .bind(now + PREVIOUS_SECRET_LIFETIME)
            .bind(now)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let stored = stored.ok_or_else(|| Error::not_found("publishing endpoint"))?;
    let change = change(&member, AuditAction::PublishingSecretRotated);
    let audited = audit::write(&app.database, &mut transaction, author(&member, now), [change]).await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    app.signals.publishing_endpoint_changed(&member.actor(), PublishingEndpointChange::SecretRotated);
    let secret = Some(app.tokens.signing_secret(new_secret_id).to_text().expose().to_owned());
    Ok(Json(PublishingEndpointWithSecret { endpoint: PublishingEndpoint::of(stored, now), secret }))
}

/// Delete the publishing endpoint
///
/// Managers may do this. Content items that stay scheduled fail at their time.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}/publishing-endpoint", tag = "publishing",
    params(("workspace_id" = WorkspaceId, Path)),
    responses(
        (status = 204, description = "The publishing endpoint is deleted."),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn delete_publishing_endpoint(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
) -> Result<StatusCode, Error> {
    let mut transaction = app.database.begin().await?;
    let url: Option<String> = app
        .database
        .run(
            DatabaseOperation::DeletePublishingEndpoint,
            sqlx::query_scalar("delete from publishing_endpoints where workspace_id = $1 returning url")
                .bind(member.workspace_id)
                .fetch_optional(&mut *transaction),
        )
        .await?;
    let url = url.ok_or_else(|| Error::not_found("publishing endpoint"))?;
    let change = audit::Change {
        before: Some(audit::Value::Url(url)),
        ..change(&member, AuditAction::PublishingEndpointDeleted)
    };
    let author = author(&member, app.clock.now());
    let audited = audit::write(&app.database, &mut transaction, author, [change]).await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    app.signals.publishing_endpoint_changed(&member.actor(), PublishingEndpointChange::Deleted);
    Ok(StatusCode::NO_CONTENT)
}

/// The new endpoint, with its previous URL.
#[derive(sqlx::FromRow)]
struct SetEndpoint {
    #[sqlx(flatten)]
    stored: StoredEndpoint,
    url_before: Option<String>,
}

fn change(member: &WorkspaceMember<Manager>, action: AuditAction) -> audit::Change {
    audit::Change { workspace: Some(member.workspace_id), ..audit::Change::of(action) }
}

fn author(member: &WorkspaceMember<Manager>, now: DateTime<Utc>) -> audit::Author {
    audit::Author { actor: Some(member.user_id), organization: Some(member.organization_id), now }
}

/// Checks the URL without resolving its name, now that a person can read the error. The name is resolved at
/// each delivery.
fn check_url(app: &App, text: &str) -> Result<Url, Error> {
    let example = "such as https://example.com/socialize";
    let refused = |problem: &str| Err(Error::invalid_field("url", problem));
    let Ok(mut url) = Url::parse(text.trim()) else {
        return refused(&format!("must be an HTTPS URL {example}"));
    };
    // Fragments are never sent.
    url.set_fragment(None);
    match app.outbound.check(&url) {
        Ok(()) if url.as_str().len() > *limits::PUBLISHING_ENDPOINT_URL.end() => refused("is too long"),
        Ok(()) => Ok(url),
        Err(UrlRefusal::NotHttps) => refused(&format!("must be an HTTPS URL {example}")),
        Err(UrlRefusal::Credentials) => refused(
            "must not contain a user name or a password: the receiver knows Socialize by the signature",
        ),
        Err(UrlRefusal::ForbiddenAddress) => refused("must not name a private or otherwise special address"),
    }
}
