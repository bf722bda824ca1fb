//! JSON bodies, with refusals that say what was wrong.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use domain::labels::ErrorCode;
use http::{HeaderMap, header};
use serde::de::{DeserializeOwned, IgnoredAny};

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
    check_media_type(request.headers())?;
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

fn check_media_type(headers: &HeaderMap) -> Result<(), Error> {
    let refused = |message| Err(Error::refused(ErrorCode::UnsupportedMediaType, message));
    let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = content_types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    if !is_json || content_types.next().is_some() {
        return refused("The body must be JSON: send Content-Type: application/json.");
    }
    let charset =
        parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    if charset.is_some_and(|(_, charset)| !charset.trim_matches('"').eq_ignore_ascii_case("utf-8")) {
        return refused("The body must be JSON in UTF-8, whatever other charset it could have.");
    }
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refused("The body must not be compressed: leave Content-Encoding out.");
    }
    Ok(())
}

/// Parses a JSON object. Bytes that are not JSON are malformed; JSON of another shape has an invalid field.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| not_json("it is not UTF-8"))?;
    // First the whole syntax: otherwise what comes first decides, and a wrong type hides that the rest is missing.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error.to_string()))?;
    // A list of values in the order of the fields would do for serde.
    if !text.trim_start().starts_with('{') {
        return Err(Error::invalid_field("body", "must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| match error.inner().classify() {
        serde_json::error::Category::Data => {
            let path = error.path().to_string();
            let field = if path == "." { "body" } else { &path };
            Error::invalid_field(field, &error.inner().to_string())
        }
        // What is found in values only: half a surrogate pair, or a number that no computer has.
        _ => not_json(&error.inner().to_string()),
    })
}

fn not_json(problem: &str) -> Error {
    Error::refused(ErrorCode::MalformedRequest, format!("The body is not valid JSON: {problem}"))
}
