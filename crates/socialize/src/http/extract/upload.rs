//! Uploaded files: the request body is the file.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use catalogue::labels::ErrorCode;
use http::header;

use crate::app::App;
use crate::http::error::Error;

/// A file before reading. The type that the client declares is ignored.
pub struct Upload {
    pub body: Body,
    /// True if the client waits for `100 Continue` before sending.
    pub waits_for_permission: bool,
}

impl FromRequest<App> for Upload {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self, Error> {
        let encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
        if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let message = "The body must not be compressed: leave Content-Encoding out.";
            return Err(Error::refused(ErrorCode::UnsupportedMediaType, message));
        }
        let waits_for_permission = request.headers().contains_key(header::EXPECT);
        Ok(Self { body: request.into_body(), waits_for_permission })
    }
}
