//! The tokens of a session.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::ids::{SessionId, UserId};
use http::{HeaderValue, header};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use telemetry::ErrorType;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::error::Error;
use crate::platform::secret::Secret;
use crate::platform::token::ACCESS_TOKEN_LIFETIME;

#[derive(Serialize, ToSchema)]
pub(super) struct SessionTokens {
    /// Value for the `Authorization` header of every request: `Bearer <access_token>`.
    #[schema(value_type = String)]
    access_token: IssuedToken,
    /// Always `Bearer`.
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    /// Lifetime of the access token in seconds.
    expires_in: i64,
    /// Valid for one use, which returns the next tokens.
    #[schema(value_type = String)]
    refresh_token: IssuedToken,
}

/// A token in the response to its owner. Unlike all other secrets it implements `Serialize`, so it is private
/// to this file. Like them it has no `Debug`.
struct IssuedToken(Secret);

impl Serialize for IssuedToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl SessionTokens {
    /// Builds the tokens issued at a time: now, or the time of the repeated request.
    pub(super) fn issue(
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

/// 256 random bits: the first token of a family.
pub(super) fn new_refresh_token() -> Secret {
    let bits: [u8; 32] = rand::random();
    Secret::new(URL_SAFE_NO_PAD.encode(bits))
}

/// Hash by which a refresh token is looked up; the token itself is not stored.
pub(super) fn hash_refresh_token(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}
