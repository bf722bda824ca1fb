//! Authentication by password, refresh token or e-mailed link.
//!
//! No response reveals whether an address has an account: both cases get the same response and do the same
//! work, statement for statement and hash for hash.

mod password_reset;
mod registration;
mod sessions;

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalogue::labels::ErrorCode;
use chrono::TimeDelta;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Error;
use crate::secret::Secret;
use crate::text::EmailAddress;

/// Lifetime of the link that confirms an address.
pub const VERIFICATION_LINK_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// Lifetime of the link that sets a new password.
pub const RESET_LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// Maximum lifetime of a session, however often it is refreshed.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::days(30);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(registration::router())
        .merge(sessions::router())
        .merge(password_reset::router())
}

/// Address to which an e-mail is requested.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailRequest {
    email: EmailAddress,
}

/// The token of an e-mailed link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkToken {
    #[schema(value_type = String)]
    token: Secret,
}

/// The request was accepted. Only the owner of the address learns, by e-mail, whether it had an effect.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// Human-readable message.
    message: &'static str,
}

impl Accepted {
    fn new(message: &'static str) -> Self {
        Self { message }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

fn link_expired() -> Error {
    Error::refused(
        ErrorCode::LinkExpired,
        "This link was used before, has expired or is incomplete. Please ask for a new one.",
    )
}
