//! Password reset by e-mail.

use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::AuthFailureReason;
use domain::ids::{EmailTokenId, UserId};
use domain::vocabulary::{EmailTokenPurpose, SessionEndReason};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::links::{Accepted, EmailRequest, RESET_LINK_LIFETIME, link_expired};
use super::new_password::NewPassword;
use crate::app::App;
use crate::features::email::Email;
use crate::http::error::{Error, ErrorBody, responses};
use crate::http::extract::Body;
use crate::platform::client_address::ClientAddress;
use crate::platform::secret::Secret;
use crate::platform::token::LinkPurpose;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(request_password_reset)).routes(routes!(reset_password))
}

/// Request an e-mail to replace a forgotten password
///
/// Its link is valid for an hour.
#[utoipa::path(
    post, path = "/v1/auth/request-password-reset", tag = "authentication",
    request_body = EmailRequest,
    responses(
        (status = 202, body = Accepted, description = "If the address has an account, it gets an e-mail."),
        responses::PublicWrite, responses::RateLimited,
    )
)]
async fn request_password_reset(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<EmailRequest>,
) -> Result<Accepted, Error> {
    let may_send = app.rate_limits.count_email(&request.email, client).await?;
    let now = app.clock.now();
    let token = EmailTokenId::from(Uuid::now_v7());

    // The job is always enqueued, so that timing does not reveal whether the account exists. Without a token,
    // no e-mail is sent.
    let mut transaction = app.database.begin().await?;
    app.database
        .run(
            DatabaseOperation::InsertEmailToken,
            sqlx::query(
                "insert into email_tokens (id, user_id, purpose, created_at, expires_at)
                 select $1, id, $2, $3, $4 from users where email = $5 and email_verified_at is not null and $6",
            )
            .bind(token)
            .bind(EmailTokenPurpose::ResetPassword)
            .bind(now)
            .bind(now + RESET_LINK_LIFETIME)
            .bind(request.email.as_str())
            .bind(may_send)
            .execute(&mut *transaction),
        )
        .await?;
    Email::ResetPassword { token }.enqueue(&app, &mut transaction).await?;
    app.database.commit(transaction).await?;
    Ok(Accepted::new(
        "If this address has an account, it gets an e-mail with a link that sets a new password.",
    ))
}

/// A new password, and the token of the e-mailed link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordReset {
    #[schema(value_type = String)]
    token: Secret,
    password: NewPassword,
}

/// Set a new password with the token of an e-mailed link
///
/// Ends all sessions of the user and invalidates all other links that set a password. Afterwards, failed
/// log-ins from other networks no longer restrict log-ins from the client's network.
#[utoipa::path(
    post, path = "/v1/auth/reset-password", tag = "authentication",
    request_body = PasswordReset,
    responses(
        (status = 204, description = "The new password is valid and all sessions have ended."),
        (status = 410, body = ErrorBody, description = "The link was used, has expired or is incomplete."),
        responses::PublicWrite,
    )
)]
async fn reset_password(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<PasswordReset>,
) -> Result<StatusCode, Error> {
    let refused = || {
        app.signals.auth_failed(AuthFailureReason::InvalidEmailToken, None);
        link_expired()
    };
    let token =
        app.tokens.verify_link(LinkPurpose::ResetPassword, request.token.expose()).ok_or_else(refused)?;
    let token = EmailTokenId::from(token);
    // Reject invalid links before hashing the password, so that they cost nothing.
    let mut connection = app.database.acquire().await?;
    let valid: Option<bool> = app
        .database
        .run(
            DatabaseOperation::FindEmailToken,
            sqlx::query_scalar(
                "select true from email_tokens where id = $1 and purpose = $3 and used_at is null and expires_at > $2",
            )
            .bind(token)
            .bind(app.clock.now())
            .bind(EmailTokenPurpose::ResetPassword)
            .fetch_optional(&mut *connection),
        )
        .await?;
    drop(connection);
    valid.ok_or_else(refused)?;
    let permit = app.passwords.permit(client).await?;
    let password_hash = app.passwords.hash(permit, request.password.secret()).await?;
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    // One statement uses up all links of the user: a concurrent request, with the same link or another, waits
    // for this one and finds none.
    let used: Vec<(EmailTokenId, UserId)> = app
        .database
        .run(
            DatabaseOperation::UseEmailToken,
            sqlx::query_as(
                "update email_tokens set used_at = $2
                 where purpose = $3 and used_at is null and user_id = (
                     select user_id from email_tokens
                     where id = $1 and purpose = $3 and used_at is null and expires_at > $2
                 )
                 returning id, user_id",
            )
            .bind(token)
            .bind(now)
            .bind(EmailTokenPurpose::ResetPassword)
            .fetch_all(&mut *transaction),
        )
        .await?;
    let user = used.iter().find(|(id, _)| *id == token).map(|(_, user_id)| *user_id);
    let user_id = user.ok_or_else(refused)?;
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user_id));
    // The password first, then the sessions: a concurrent log-in locks the user before its session begins, so
    // it is either found here or detects the reset.
    app.database
        .run(
            DatabaseOperation::UpdateUserPassword,
            sqlx::query(
                "with known as (
                     insert into known_networks (user_id, network, is_private, seen_at) values ($1, $4, $5, $3)
                     on conflict (user_id, network) do update set seen_at = excluded.seen_at
                 )
                 update users set password_hash = $2, password_reset_at = $3 where id = $1",
            )
            .bind(user_id)
            .bind(password_hash.expose())
            .bind(now)
            .bind(app.rate_limits.network(client).to_vec())
            .bind(client.is_private())
            .execute(&mut *transaction),
        )
        .await?;
    app.database
        .run(
            DatabaseOperation::EndUserSessions,
            sqlx::query(
                "update sessions set ended_at = $2, ended_reason = $3 where user_id = $1 and ended_at is null",
            )
            .bind(user_id)
            .bind(now)
            .bind(SessionEndReason::PasswordReset)
            .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
