//! Authentication: who somebody is, proved by a password, a refresh token or a link that was e-mailed.
//!
//! Whether an address has an account is told to nobody: an answer that depended on it is the same either way, and so is the
//! work behind it, statement for statement and hash for hash.

mod password_reset;
mod registration;
mod sessions;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use domain::labels::ErrorCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Error;
use crate::secret::Secret;
use crate::text::EmailAddress;

/// How long the link that confirms an address is valid.
pub const VERIFICATION_LINK_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// How long the link that sets a new password is valid.
pub const RESET_LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// How long a session lasts at most, however often it is refreshed.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::days(30);

/// The routes of this folder.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(registration::router())
        .merge(sessions::router())
        .merge(password_reset::router())
}

/// An address that an e-mail is asked for.
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

/// What was asked for is done if it can be. Whether it can is told to the owner of the address only, by e-mail.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// For a person to read.
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
