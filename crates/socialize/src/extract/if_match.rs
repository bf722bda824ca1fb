//! Edits of what several people edit: the answer to a reading carries the version as its `ETag`, and an edit says in
//! `If-Match` which version it is about, so that nobody overwrites what they have not seen.

use axum::extract::FromRequestParts;
use domain::labels::ErrorCode;
use http::header;
use http::request::Parts;

use super::entity_tags::{EntityTags, etag};
use crate::app::App;
use crate::error::Error;

/// The versions that an edit is about; a request without `If-Match` is refused.
pub struct IfMatch(EntityTags);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let lines: Vec<_> = parts.headers.get_all(header::IF_MATCH).iter().collect();
        if lines.is_empty() {
            let message = "Send If-Match with the ETag of the version that you have read, so that you do not overwrite what somebody else wrote meanwhile.";
            return Err(Error::refused(ErrorCode::PreconditionRequired, message));
        }
        let text: Result<Vec<&str>, _> = lines.into_iter().map(|line| line.to_str()).collect();
        text.ok().and_then(|text| EntityTags::parse(&text.join(","))).map(Self).ok_or_else(|| {
            let message = "If-Match must be the ETag of an earlier answer, with its quotes.";
            Error::refused(ErrorCode::MalformedRequest, message)
        })
    }
}

impl IfMatch {
    /// Refuses unless the version is one that the client asks for.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self, version: i64) -> Result<(), Error> {
        if self.0.name(&etag(version)) {
            return Ok(());
        }
        let message =
            "Somebody has changed it since you read it: read it again, and repeat your edit on that version.";
        Err(Error::refused(ErrorCode::VersionMismatch, message))
    }
}
