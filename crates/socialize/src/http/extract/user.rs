//! Authentication of the caller.
//!
//! An access token identifies the user; the database knows whether its session is still active. The first
//! statement for the caller checks that as well, so it costs no extra round trip: in [`PlatformOperator`], in
//! the members of organizations and workspaces, and in handlers that take a [`CurrentUser`].

use axum::extract::FromRequestParts;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::{AuthFailureReason, ErrorCode};
use domain::ids::{SessionId, UserId};
use http::request::Parts;
use http::{Method, header};
use sqlx::PgConnection;

use crate::app::App;
use crate::http::error::Error;
use crate::platform::token::TokenRefusal;

/// Caller with a valid access token. Its session may have ended: the first statement of the handler must join
/// `sessions`, or the handler must call [`CurrentUser::require_session`]. A test calls every route with the
/// token of an ended session.
#[derive(Clone, Copy)]
pub struct CurrentUser {
    pub user_id: UserId,
    /// The session of the token.
    pub session_id: SessionId,
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let mut authorizations = parts.headers.get_all(header::AUTHORIZATION).iter();
        let authorization = authorizations.next().map(|value| value.to_str().unwrap_or_default());
        let token = authorization
            .map(|value| value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")));
        let verified = match token {
            None => {
                Err((AuthFailureReason::MissingToken, "Send an access token: Authorization: Bearer <token>."))
            }
            Some(None) => {
                Err((AuthFailureReason::InvalidToken, "The Authorization header must be: Bearer <token>."))
            }
            // A proxy may have evaluated the other one.
            Some(Some(_)) if authorizations.next().is_some() => {
                Err((AuthFailureReason::InvalidToken, "Send one Authorization header, not several."))
            }
            Some(Some((_, token))) => {
                app.tokens.verify(token.trim(), app.clock.now()).map_err(|refusal| match refusal {
                    TokenRefusal::Invalid => {
                        (AuthFailureReason::InvalidToken, "The access token is not valid: log in again.")
                    }
                    TokenRefusal::Expired => {
                        (AuthFailureReason::ExpiredToken, "The access token has expired: refresh it.")
                    }
                })
            }
        };
        let claims = verified.map_err(|(reason, message)| {
            app.signals.auth_failed(reason, None);
            Error::refused(ErrorCode::Unauthenticated, message)
        })?;
        telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, claims.user_id));
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            app.rate_limits.count_write(claims.user_id).await?;
        }
        Ok(Self { user_id: claims.user_id, session_id: claims.session_id })
    }
}

impl CurrentUser {
    /// Rejects the request if the session has ended. For statements that found no row and cannot tell why.
    ///
    /// # Errors
    /// Returns an error if the session has ended, or the database fails.
    pub async fn require_session(&self, app: &App, connection: &mut PgConnection) -> Result<(), Error> {
        let lives: bool = app
            .database
            .run(
                DatabaseOperation::FindSession,
                sqlx::query_scalar(
                    "select exists (
                         select from sessions where id = $1 and user_id = $2 and ended_at is null and expires_at > $3
                     )",
                )
                .bind(self.session_id)
                .bind(self.user_id)
                .bind(app.clock.now())
                .fetch_one(connection),
            )
            .await?;
        if lives { Ok(()) } else { Err(self.session_ended(app)) }
    }

    /// Error for a token whose session has ended.
    pub fn session_ended(&self, app: &App) -> Error {
        app.signals.auth_failed(AuthFailureReason::EndedSession, Some(self.user_id));
        Error::refused(
            ErrorCode::Unauthenticated,
            "The session of this access token has ended: log in again.",
        )
    }
}

/// Caller who is a platform operator.
#[derive(Clone, Copy)]
pub struct PlatformOperator {
    pub user_id: UserId,
}

impl FromRequestParts<App> for PlatformOperator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let user = CurrentUser::from_request_parts(parts, app).await?;
        let mut connection = app.database.acquire().await?;
        let is_operator: Option<bool> = app
            .database
            .run(
                DatabaseOperation::FindUser,
                sqlx::query_scalar(
                    "select u.is_operator from sessions s join users u on u.id = s.user_id
                     where s.id = $1 and s.user_id = $2 and s.ended_at is null and s.expires_at > $3",
                )
                .bind(user.session_id)
                .bind(user.user_id)
                .bind(app.clock.now())
                .fetch_optional(&mut *connection),
            )
            .await?;
        if !is_operator.ok_or_else(|| user.session_ended(app))? {
            return Err(Error::forbidden("Only operators of this Socialize may do this."));
        }
        Ok(Self { user_id: user.user_id })
    }
}
