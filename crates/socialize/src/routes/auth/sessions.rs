//! Logging in, staying logged in, logging out.
//!
//! A session is one family of refresh tokens. Each is good for one use, which yields the next; one that comes back after its
//! use was copied by somebody, and as nobody can tell who is the thief, the whole family ends. One repetition within
//! [`REPETITION_WINDOW`] gets the same tokens again as long as nobody has used the next refresh token: the client has lost the
//! answer, or two of its tabs have refreshed together. A thief gains nothing by that, for whoever of the two uses the next token
//! second is found out.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::database_operation::DatabaseOperation;
use domain::ids::{SessionId, UserId};
use domain::labels::{AuthFailureReason, ErrorCode};
use domain::signals::keys;
use domain::vocabulary::SessionEndReason;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use telemetry::ErrorType;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::SESSION_LIFETIME;
use crate::app::App;
use crate::database::Transaction;
use crate::error::{Error, ErrorBody, answers};
use crate::extract::{Body, ClientAddress};
use crate::passwords::Verification;
use crate::rate_limit::LoginAttempt;
use crate::secret::Secret;
use crate::text::EmailAddress;
use crate::token::ACCESS_TOKEN_LIFETIME;

/// How long after its use a refresh token may come back once, if its successor has not been used.
const REPETITION_WINDOW: TimeDelta = TimeDelta::seconds(30);

/// The routes of this file.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log_in)).routes(routes!(refresh)).routes(routes!(log_out))
}

/// What a user proves to be one with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: EmailAddress,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// A refresh token, as it was answered before.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PresentedRefreshToken {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
struct SessionTokens {
    /// Goes into the `Authorization` header of every request: `Bearer <access_token>`.
    #[schema(value_type = String)]
    access_token: IssuedToken,
    /// Always `Bearer`.
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds the access token is valid.
    expires_in: i64,
    /// Good for one use: it yields the next tokens.
    #[schema(value_type = String)]
    refresh_token: IssuedToken,
}

/// A token on its way to the client it was issued to. It serialises, which no other secret does, and is known to this file
/// only. Like every secret it has no `Debug`.
struct IssuedToken(Secret);

impl Serialize for IssuedToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl SessionTokens {
    /// The tokens that were issued at a time, which is now or that of a request that is repeated.
    fn issue(
        app: &App,
        user: UserId,
        session: SessionId,
        refresh_token: Secret,
        issued_at: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let access_token = app.tokens.issue(user, session, issued_at);
        let age = app.clock.now() - issued_at;
        Ok(Self {
            access_token: IssuedToken(access_token.map_err(|_| Error::failed(ErrorType::Internal))?),
            token_type: "Bearer",
            expires_in: (ACCESS_TOKEN_LIFETIME - age).num_seconds(),
            refresh_token: IssuedToken(refresh_token),
        })
    }
}

impl IntoResponse for SessionTokens {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(self)).into_response()
    }
}

/// 256 random bits: the first of a family.
fn new_refresh_token() -> Secret {
    let bits: [u8; 32] = rand::random();
    Secret::new(URL_SAFE_NO_PAD.encode(bits))
}

/// Under which a refresh token is found; the token itself is not stored.
fn hash_refresh_token(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}

/// Log in
///
/// After 10 failures within a minute, for one account or from one client address, further attempts are refused until the
/// minute has passed, also those with the right password. An address that is not confirmed is refused like an unknown one.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "authentication",
    request_body = Credentials,
    responses(
        (status = 200, body = SessionTokens, description = "A session has begun."),
        (status = 401, body = ErrorBody, description = "Wrong e-mail address or password, or the address is not confirmed."),
        answers::PublicWrite, answers::RateLimited,
    )
)]
async fn log_in(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<Credentials>,
) -> Result<SessionTokens, Error> {
    let attempt = app.rate_limits.begin_login(&request.email, client).await.map_err(|reached| {
        app.signals.login_attempted();
        app.signals.auth_failed(AuthFailureReason::RateLimited, None);
        let message = "Too many attempts to log in have failed. Please wait before trying again.";
        Error::rate_limited(message, reached.retry_after_seconds)
    })?;
    let mut connection = app.database.acquire().await?;
    let user: Option<UserRow> = app
        .database
        .run(
            DatabaseOperation::FindUserByEmail,
            sqlx::query_as(
                "select id, password_hash, password_reset_at from users
                 where email = $1 and email_verified_at is not null",
            )
            .bind(request.email.as_str())
            .fetch_optional(&mut *connection),
        )
        .await?;
    drop(connection);

    let stored = user.as_ref().map(|user| Secret::new(user.password_hash.as_str()));
    let verification = app.passwords.verify(&request.password, stored.as_ref()).await?;
    let (Some(user), Verification::Right { outdated }) = (&user, verification) else {
        return Err(refuse_credentials(&app, attempt, user.map(|user| user.id)));
    };
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user.id));
    let new_hash = if outdated { Some(app.passwords.hash(&request.password).await?) } else { None };

    let now = app.clock.now();
    let session_id = SessionId::from(Uuid::now_v7());
    let refresh_token = new_refresh_token();
    let refresh_token_hash = hash_refresh_token(&refresh_token);
    let tokens = SessionTokens::issue(&app, user.id, session_id, refresh_token, now)?;
    let mut transaction = app.database.begin().await?;
    if let Some(new_hash) = new_hash {
        app.database
            .run(
                DatabaseOperation::UpdateUserPassword,
                sqlx::query("update users set password_hash = $3 where id = $1 and password_hash = $2")
                    .bind(user.id)
                    .bind(&user.password_hash)
                    .bind(new_hash.expose())
                    .execute(&mut *transaction),
            )
            .await?;
    }
    let started = app
        .database
        .run(
            DatabaseOperation::InsertSession,
            sqlx::query(
                "insert into sessions (id, user_id, created_at, expires_at)
                 select $1, id, $3, $4 from users
                 where id = $2 and password_reset_at is not distinct from $5 for share",
            )
            .bind(session_id)
            .bind(user.id)
            .bind(now)
            .bind(now + SESSION_LIFETIME)
            .bind(user.password_reset_at)
            .execute(&mut *transaction),
        )
        .await?;
    if started.rows_affected() == 0 {
        // The password was reset while it was being verified: what was right is so no more.
        return Err(refuse_credentials(&app, attempt, Some(user.id)));
    }
    insert_refresh_token(&app, &mut transaction, session_id, refresh_token_hash, now).await?;
    app.database.commit(transaction).await?;

    app.signals.login_attempted();
    app.signals.login_succeeded(user.id);
    Ok(tokens)
}

/// What log-in needs to know of a user.
#[derive(sqlx::FromRow)]
struct UserRow {
    id: UserId,
    password_hash: String,
    password_reset_at: Option<DateTime<Utc>>,
}

/// The one refusal for an unknown address, one that is not confirmed, and a wrong password.
fn refuse_credentials(app: &App, attempt: LoginAttempt<'_>, user: Option<UserId>) -> Error {
    attempt.fail();
    app.signals.login_attempted();
    app.signals.auth_failed(AuthFailureReason::InvalidCredentials, user);
    let message = "The e-mail address or the password is wrong, or the address is not confirmed yet. Whoever has just registered \
                   finds a link in the mailbox.";
    Error::refused(ErrorCode::InvalidCredentials, message)
}

/// Get new tokens for a refresh token
///
/// The refresh token is used up. If it comes a second time, the session ends, and with it its access tokens; only once, within
/// 30 seconds and before the next refresh token was used, a repetition gets the same tokens again.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "authentication",
    request_body = PresentedRefreshToken,
    responses(
        (status = 200, body = SessionTokens, description = "The next tokens of the session."),
        (status = 401, body = ErrorBody, description = "The refresh token is not valid: log in again."),
        answers::PublicWrite,
    )
)]
async fn refresh(
    State(app): State<App>,
    Body(request): Body<PresentedRefreshToken>,
) -> Result<SessionTokens, Error> {
    let refused = |reason, user| {
        app.signals.auth_failed(reason, user);
        Error::refused(ErrorCode::Unauthenticated, "The refresh token is not valid: please log in again.")
    };
    let presented = hash_refresh_token(&request.refresh_token);
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    // Whoever wants to change a family first locks its session, so all its refreshes come one after another.
    let session: Option<(SessionId, UserId, bool)> = app
        .database
        .run(
            DatabaseOperation::LockRefreshToken,
            sqlx::query_as(
                "select id, user_id, ended_at is not null or expires_at <= $2 from sessions
                 where id = (select session_id from refresh_tokens where token_hash = $1) for update",
            )
            .bind(&presented[..])
            .bind(now)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let Some((session_id, user_id, is_over)) = session else {
        return Err(refused(AuthFailureReason::InvalidRefreshToken, None));
    };
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user_id));
    if is_over {
        return Err(refused(AuthFailureReason::InvalidRefreshToken, Some(user_id)));
    }
    let next = app.tokens.next_refresh_token(&request.refresh_token);
    let next_hash = hash_refresh_token(&next);
    let used: Option<(DateTime<Utc>, bool)> = app
        .database
        .run(
            DatabaseOperation::UseRefreshToken,
            sqlx::query_as(
                "update refresh_tokens
                 set used_at = coalesce(used_at, $2), repeated_at = case when used_at is not null then $2 end
                 where token_hash = $1 and (
                     used_at is null
                     or used_at > $3 and repeated_at is null and exists (
                         select from refresh_tokens next where next.token_hash = $4 and next.used_at is null
                     )
                 )
                 returning used_at, repeated_at is not null",
            )
            .bind(&presented[..])
            .bind(now)
            .bind(now - REPETITION_WINDOW)
            .bind(&next_hash[..])
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let Some((used_at, is_repetition)) = used else {
        app.database
            .run(
                DatabaseOperation::EndSession,
                sqlx::query("update sessions set ended_at = $2, ended_reason = $3 where id = $1")
                    .bind(session_id)
                    .bind(now)
                    .bind(SessionEndReason::RefreshTokenReused)
                    .execute(&mut *transaction),
            )
            .await?;
        app.database.commit(transaction).await?;
        return Err(refused(AuthFailureReason::ReusedRefreshToken, Some(user_id)));
    };
    let tokens = SessionTokens::issue(&app, user_id, session_id, next, used_at)?;
    if !is_repetition {
        insert_refresh_token(&app, &mut transaction, session_id, next_hash, now).await?;
    }
    app.database.commit(transaction).await?;
    Ok(tokens)
}

async fn insert_refresh_token(
    app: &App,
    transaction: &mut Transaction,
    session_id: SessionId,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    app.database
        .run(
            DatabaseOperation::InsertRefreshToken,
            sqlx::query("insert into refresh_tokens (token_hash, session_id, issued_at) values ($1, $2, $3)")
                .bind(&token_hash[..])
                .bind(session_id)
                .bind(now)
                .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}

/// Log out
///
/// Ends the session that the refresh token belongs to, used or not, and with it its access tokens. A token that belongs to no
/// session is answered alike: there is nothing left to end.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "authentication",
    request_body = PresentedRefreshToken,
    responses((status = 204, description = "The session has ended."), answers::PublicWrite)
)]
async fn log_out(
    State(app): State<App>,
    Body(request): Body<PresentedRefreshToken>,
) -> Result<StatusCode, Error> {
    let mut connection = app.database.acquire().await?;
    let ended: Option<UserId> = app
        .database
        .run(
            DatabaseOperation::EndSession,
            sqlx::query_scalar(
                "update sessions set ended_at = $2, ended_reason = $3
                 where id = (select session_id from refresh_tokens where token_hash = $1) and ended_at is null
                 returning user_id",
            )
            .bind(&hash_refresh_token(&request.refresh_token)[..])
            .bind(app.clock.now())
            .bind(SessionEndReason::LoggedOut)
            .fetch_optional(&mut *connection),
        )
        .await?;
    if let Some(user_id) = ended {
        telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user_id));
    }
    Ok(StatusCode::NO_CONTENT)
}
