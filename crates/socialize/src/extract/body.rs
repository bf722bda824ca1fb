//! JSON bodies, with refusals that say what was wrong.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use domain::labels::ErrorCode;
use http::header;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::Error;

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let bytes = read(request, app).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a body whose media type is JSON, within the limits of size and time.
pub(super) async fn read(request: Request, app: &App) -> Result<Bytes, Error> {
    if !is_json(&request) {
        let message = "The body must be JSON: send Content-Type: application/json.";
        return Err(Error::refused(ErrorCode::UnsupportedMediaType, message));
    }
    let reading = axum::body::to_bytes(request.into_body(), crate::app::BODY_LIMIT);
    let read = tokio::time::timeout(app.settings.body_timeout, reading).await;
    let read =
        read.map_err(|_| Error::refused(ErrorCode::RequestTimeout, "The body took too long to arrive."))?;
    read.map_err(|error| {
        let too_large = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if too_large {
            let message = format!("The body must have at most {} bytes.", crate::app::BODY_LIMIT);
            Error::refused(ErrorCode::BodyTooLarge, message)
        } else {
            Error::refused(ErrorCode::MalformedRequest, "The body ended before it was complete.")
        }
    })
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Parses JSON. Text that is not JSON is malformed; JSON of another shape has an invalid field.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        match error.inner().classify() {
            serde_json::error::Category::Data => {
                let path = error.path().to_string();
                let field = if path == "." { "body" } else { &path };
                Error::invalid_field(field, &error.inner().to_string())
            }
            _ => not_json(error.inner()),
        }
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::refused(ErrorCode::MalformedRequest, format!("The body is not valid JSON: {error}"))
}
