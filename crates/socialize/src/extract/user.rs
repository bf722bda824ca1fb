//! Who is calling.

use axum::extract::FromRequestParts;
use domain::database_operation::DatabaseOperation;
use domain::ids::{SessionId, UserId};
use domain::labels::{AuthFailureReason, ErrorCode};
use domain::signals::keys;
use http::header;
use http::request::Parts;

use crate::app::App;
use crate::error::Error;
use crate::token::TokenRefusal;

/// A caller with a valid access token.
#[derive(Clone, Copy)]
pub struct CurrentUser {
    /// Who it is.
    pub user_id: UserId,
    /// The session that the token belongs to.
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
            // A proxy may have looked at the other one.
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
        Ok(Self { user_id: claims.user_id, session_id: claims.session_id })
    }
}

/// A caller who operates the platform.
#[derive(Clone, Copy)]
pub struct PlatformOperator {
    /// Who it is.
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
                sqlx::query_scalar("select is_operator from users where id = $1")
                    .bind(user.user_id)
                    .fetch_optional(&mut *connection),
            )
            .await?;
        if is_operator != Some(true) {
            return Err(Error::forbidden("Only operators of this Socialize may do this."));
        }
        Ok(Self { user_id: user.user_id })
    }
}
