//! Path and query parameters, with errors in the common format.

use axum::extract::{FromRequestParts, Path};
use catalogue::labels::ErrorCode;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::http::error::Error;

pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Parameters<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        // A malformed id in a path gets the same response as an unknown one.
        match Path::from_request_parts(parts, app).await {
            Ok(Path(parameters)) => Ok(Self(parameters)),
            Err(_) => {
                Err(Error::refused(ErrorCode::NotFound, "There is nothing at this path: ids are UUIDs."))
            }
        }
    }
}

pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        // Invalid UTF-8 would be replaced silently.
        if percent_decode_str(parts.uri.query().unwrap_or_default()).decode_utf8().is_err() {
            let message = "The query must be UTF-8, percent-encoded.";
            return Err(Error::refused(ErrorCode::MalformedRequest, message));
        }
        match axum::extract::Query::from_request_parts(parts, app).await {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let text = rejection.body_text();
                // Removes the library's prefix.
                let problem = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let message = format!("The query is invalid for this route: {problem}.");
                Err(Error::refused(ErrorCode::MalformedRequest, message))
            }
        }
    }
}
