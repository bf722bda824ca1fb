//! Optimistic concurrency: a read returns the version as `ETag`, and an edit names in `If-Match` the version
//! that it is based on, so nobody overwrites a change that they have not seen.

use axum::extract::FromRequestParts;
use catalogue::labels::ErrorCode;
use http::header;
use http::request::Parts;

use super::entity_tags::{EntityTags, etag};
use crate::app::App;
use crate::http::error::Error;

/// Versions that an edit is based on; a request without `If-Match` is rejected.
pub struct IfMatch(EntityTags);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let lines: Vec<_> = parts.headers.get_all(header::IF_MATCH).iter().collect();
        if lines.is_empty() {
            let message = "Send If-Match with the ETag of the version that you have read, so that you do not overwrite \
                           a concurrent change.";
            return Err(Error::refused(ErrorCode::PreconditionRequired, message));
        }
        let text: Result<Vec<&str>, _> = lines.into_iter().map(|line| line.to_str()).collect();
        text.ok().and_then(|text| EntityTags::parse(&text.join(","))).map(Self).ok_or_else(|| {
            let message = "If-Match must be the ETag of an earlier response, with its quotes.";
            Error::refused(ErrorCode::MalformedRequest, message)
        })
    }
}

impl IfMatch {
    /// Rejects a version that the client did not name.
    ///
    /// # Errors
    /// Returns an error if it does not match.
    pub fn check(&self, version: i64) -> Result<(), Error> {
        if self.0.name(&etag(version)) {
            return Ok(());
        }
        let message =
            "It was changed since you read it: read it again, and repeat your edit on that version.";
        Err(Error::refused(ErrorCode::VersionMismatch, message))
    }
}
