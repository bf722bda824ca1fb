//! Log-in, token refresh and log-out.
//!
//! A session is a family of refresh tokens. Each is valid for one use, which returns the next one. A token
//! that is reused has been copied, and since nobody can tell who the thief is, the whole family ends. There
//! is one exception: within [`REPETITION_WINDOW`], and while the next token is unused, one repetition returns
//! the same tokens again, because the client has lost the response or refreshed in two tabs. A thief gains
//! nothing by that: the second use of the next token is detected.
//!
//! Long because log-in, refresh and log-out share the rules of a family of tokens.

use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::{AuthFailureReason, ErrorCode};
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{SessionId, UserId};
use domain::vocabulary::SessionEndReason;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::session_tokens::{SessionTokens, hash_refresh_token, new_refresh_token};
use crate::app::App;
use crate::http::error::{Error, ErrorBody, responses};
use crate::http::extract::Body;
use crate::platform::client_address::ClientAddress;
use crate::platform::database::Transaction;
use crate::platform::passwords::{HashingPermit, Verification};
use crate::platform::rate_limit::{Account, LimitReached, LoginAttempt, LoginRefusal};
use crate::platform::secret::Secret;
use crate::platform::text::EmailAddress;

/// Maximum lifetime of a session, however often it is refreshed.
const SESSION_LIFETIME: TimeDelta = TimeDelta::days(30);

/// Period in which a used refresh token may be repeated once, if its successor is unused.
const REPETITION_WINDOW: TimeDelta = TimeDelta::seconds(30);

/// Maximum number of sessions of a user; a new one replaces the oldest.
const MAX_SESSIONS: i64 = 25;
/// Maximum number of known networks of a user; the least recently used one is forgotten.
const MAX_KNOWN_NETWORKS: i64 = 20;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(log_in)).routes(routes!(refresh)).routes(routes!(log_out))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    email: EmailAddress,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// A refresh token from an earlier response.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PresentedRefreshToken {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// Log in
///
/// Failed log-ins are limited per account and client network, per client network, and per account. Above the
/// first two limits, and after 30 log-ins to one account within ten minutes, the response is 429. Above the
/// last one, attempts from unknown networks are refused like wrong passwords. A network is known if the user
/// has logged in or opened an e-mailed link there; a password reset by e-mail makes it known. An unconfirmed
/// address is refused like an unknown one. A user has at most 25 sessions: a new one replaces the oldest.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "authentication",
    request_body = Credentials,
    responses(
        (status = 200, body = SessionTokens, description = "A session has begun."),
        (
            status = 401, body = ErrorBody,
            description = "Wrong e-mail address or password, or the address is not confirmed."
        ),
        responses::PublicWrite, responses::RateLimited,
    )
)]
async fn log_in(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<Credentials>,
) -> Result<SessionTokens, Error> {
    let _permit = app.rate_limits.login_permit(&request.email, client).await;
    let hashing = app.passwords.permit(client).await?;
    let attempt =
        app.rate_limits.begin_login(&request.email, client).await.map_err(|refusal| match refusal {
            LoginRefusal::LimitReached(reached) => {
                let message = "Too many attempts to log in have failed. Please wait before trying again.";
                refuse_for_now(&app, message, reached, None)
            }
            LoginRefusal::Failed(error) => error.into(),
        })?;
    let decided = decide(&app, client, &request, &attempt, hashing).await;
    if matches!(decided, Err(Error::Failed { .. })) {
        // The response reports the original failure.
        let _ = app.rate_limits.forget_login(&attempt).await;
    }
    decided
}

/// Compares the password and starts a session.
async fn decide(
    app: &App,
    client: ClientAddress,
    request: &Credentials,
    attempt: &LoginAttempt,
    hashing: HashingPermit,
) -> Result<SessionTokens, Error> {
    // While the account is held off, the response must not reveal whether the password was right, so it is
    // compared with a dummy hash.
    let account = attempt.account.as_ref().filter(|_| !attempt.is_held_off);
    let stored = account.map(|account| Secret::new(account.password_hash.as_str()));
    let verification = app.passwords.verify(hashing, &request.password, stored.as_ref()).await?;
    let (Some(account), Verification::Right { outdated }) = (account, verification) else {
        return Err(refuse_credentials(app, attempt));
    };
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, account.id));
    let new_hash = if outdated {
        let permit = app.passwords.permit(client).await?;
        Some(app.passwords.hash(permit, &request.password).await?)
    } else {
        None
    };

    let now = app.clock.now();
    let session_id = SessionId::from(Uuid::now_v7());
    let refresh_token = new_refresh_token();
    let refresh_token_hash = hash_refresh_token(&refresh_token);
    let tokens = SessionTokens::issue(app, account.id, session_id, refresh_token, now)?;
    let mut transaction = app.database.begin().await?;
    if let Some(new_hash) = new_hash {
        app.database
            .run(
                DatabaseOperation::UpdateUserPassword,
                sqlx::query("update users set password_hash = $3 where id = $1 and password_hash = $2")
                    .bind(account.id)
                    .bind(&account.password_hash)
                    .bind(new_hash.expose())
                    .execute(&mut *transaction),
            )
            .await?;
    }
    match insert_session(app, &mut transaction, account, session_id, now).await? {
        Started::Yes => {}
        // The password was reset while it was being verified, so it is no longer right.
        Started::PasswordWasReset => return Err(refuse_credentials(app, attempt)),
        // The attempt stays counted as failed; otherwise the right password would allow unlimited hashing.
        Started::TooOften(reached) => {
            let message = "There were too many log-ins to this account. Please wait before trying again.";
            return Err(refuse_for_now(app, message, reached, Some(account.id)));
        }
    }
    app.database
        .run(
            DatabaseOperation::InsertRefreshToken,
            sqlx::query(
                "with inserted as (
                     insert into refresh_tokens (token_hash, session_id, issued_at) values ($1, $2, $3)
                 ), ended as (
                     update sessions set ended_at = $3, ended_reason = $5 where id in (
                         select id from sessions where user_id = $4 and ended_at is null and expires_at > $3
                         order by created_at desc, id desc offset $6
                     )
                 ), known as (
                     insert into known_networks (user_id, network, is_private, seen_at) values ($4, $7, $8, $3)
                     on conflict (user_id, network) do update set seen_at = excluded.seen_at
                 ), forgotten as (
                     delete from known_networks where user_id = $4 and network in (
                         select network from known_networks where user_id = $4 and network <> $7
                         order by seen_at desc offset $9
                     )
                 )
                 select uncount_event($10, $11)",
            )
            .bind(&refresh_token_hash[..])
            .bind(session_id)
            .bind(now)
            .bind(account.id)
            .bind(SessionEndReason::TooManySessions)
            .bind(MAX_SESSIONS)
            .bind(app.rate_limits.network(client).to_vec())
            .bind(client.is_private())
            .bind(MAX_KNOWN_NETWORKS - 1)
            .bind(attempt.codes())
            .bind(attempt.happened)
            .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;

    app.signals.login_attempted();
    app.signals.login_succeeded(account.id);
    Ok(tokens)
}

/// Result of starting a session.
enum Started {
    Yes,
    PasswordWasReset,
    TooOften(LimitReached),
}

/// Starts a session, unless the password was reset meanwhile or the account has too many log-ins. Locks the
/// user against a reset, and the row of the limit against concurrent log-ins, which end the oldest sessions
/// one after another.
async fn insert_session(
    app: &App,
    transaction: &mut Transaction,
    account: &Account,
    session_id: SessionId,
    now: DateTime<Utc>,
) -> Result<Started, Error> {
    let (codes, counts, windows) = app.rate_limits.logins_of(account.id);
    let (is_started, free_at): (bool, Option<DateTime<Utc>>) = app
        .database
        .run(
            DatabaseOperation::InsertSession,
            sqlx::query_as(
                "with logins as materialized (
                     select count_event($6, $7, $8, $3) as free_at
                 ), started as (
                     insert into sessions (id, user_id, created_at, expires_at)
                     select $1, u.id, $3, $4 from users u, logins
                     where u.id = $2 and u.password_reset_at is not distinct from $5 and logins.free_at is null
                     for share of u
                     returning id
                 )
                 select exists (select from started), free_at from logins",
            )
            .bind(session_id)
            .bind(account.id)
            .bind(now)
            .bind(now + SESSION_LIFETIME)
            .bind(account.password_reset_at)
            .bind(codes)
            .bind(counts)
            .bind(windows)
            .fetch_one(&mut **transaction),
        )
        .await?;
    Ok(match free_at {
        Some(free_at) => Started::TooOften(LimitReached::until(free_at, now)),
        None if is_started => Started::Yes,
        None => Started::PasswordWasReset,
    })
}

/// The common error for an unknown address, an unconfirmed one, and a wrong password.
fn refuse_credentials(app: &App, attempt: &LoginAttempt) -> Error {
    let reason = match attempt.is_held_off {
        true => AuthFailureReason::RateLimited,
        false => AuthFailureReason::InvalidCredentials,
    };
    app.signals.login_attempted();
    app.signals.auth_failed(reason, attempt.account.as_ref().map(|account| account.id));
    let message = "The e-mail address or the password is wrong, or the address is not confirmed yet. Whoever has just \
                   registered finds a link in the mailbox. If you are sure of both, set a new password.";
    Error::refused(ErrorCode::InvalidCredentials, message)
}

/// The error of an attempt that exceeds a limit.
fn refuse_for_now(app: &App, message: &'static str, reached: LimitReached, user: Option<UserId>) -> Error {
    app.signals.login_attempted();
    app.signals.auth_failed(AuthFailureReason::RateLimited, user);
    Error::rate_limited(message, reached.retry_after_seconds)
}

/// Get new tokens for a refresh token
///
/// The refresh token is used up. A second use ends the session and its access tokens, with one exception:
/// within 30 seconds, and before the next refresh token was used, one repetition returns the same tokens
/// again.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "authentication",
    request_body = PresentedRefreshToken,
    responses(
        (status = 200, body = SessionTokens, description = "The next tokens of the session."),
        (status = 401, body = ErrorBody, description = "The refresh token is not valid: log in again."),
        responses::PublicWrite,
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
    // Locks the session first, so that all refreshes of a family run one after another.
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
/// Ends the session of the refresh token, used or not, and its access tokens. A token without a session gets
/// the same response: there is nothing left to end.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "authentication",
    request_body = PresentedRefreshToken,
    responses((status = 204, description = "The session has ended."), responses::PublicWrite)
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
