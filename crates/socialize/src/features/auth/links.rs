//! E-mailed links: requests for one, their responses, and their lifetimes.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalogue::labels::ErrorCode;
use chrono::TimeDelta;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::Error;
use crate::platform::secret::Secret;
use crate::platform::text::EmailAddress;

/// Lifetime of the link that confirms an address.
pub(super) const VERIFICATION_LINK_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// Lifetime of the link that sets a new password.
pub(super) const RESET_LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Recipient of the requested e-mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmailRequest {
    pub(super) email: EmailAddress,
}

/// The token of an e-mailed link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkToken {
    #[schema(value_type = String)]
    pub(super) token: Secret,
}

/// The request was accepted. Only the owner of the address learns, by e-mail, whether it had an effect.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Human-readable message.
    message: &'static str,
}

impl Accepted {
    pub(super) fn new(message: &'static str) -> Self {
        Self { message }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self)).into_response()
    }
}

pub(super) fn link_expired() -> Error {
    Error::refused(
        ErrorCode::LinkExpired,
        "This link was used before, has expired or is incomplete. Please ask for a new one.",
    )
}
