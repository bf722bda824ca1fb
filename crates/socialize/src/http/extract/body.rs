//! JSON bodies, with errors that say what is wrong.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use catalogue::labels::ErrorCode;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::{Instant, timeout_at};

use crate::app::{App, BODY_LIMIT};
use crate::http::error::Error;

/// Maximum number of bytes that are read and discarded of a body that is too large.
const DISCARDED_BYTES: usize = 16 * BODY_LIMIT;

/// The byte order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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
    let waits_for_permission = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let is_known_to_be_too_large = body.size_hint().lower() > BODY_LIMIT as u64;
    if is_known_to_be_too_large && waits_for_permission {
        return Err(too_large());
    }
    let deadline = Instant::now() + app.settings.body_timeout;
    match timeout_at(deadline, Limited::new(&mut body, BODY_LIMIT).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            // A client that is still sending when its connection closes might never see the response.
            let _ = timeout_at(deadline, discard(body)).await;
            Err(too_large())
        }
        Ok(Err(error)) => Err(Error::broken_body(&*error)),
        Err(_) if is_known_to_be_too_large => Err(too_large()),
        Err(_) => Err(Error::refused(ErrorCode::RequestTimeout, "The body took too long to arrive.")),
    }
}

/// Reads and discards for a while.
async fn discard(body: axum::body::Body) {
    let mut rest = Limited::new(body, DISCARDED_BYTES);
    while let Some(Ok(_)) = rest.frame().await {}
}

fn too_large() -> Error {
    Error::refused(ErrorCode::BodyTooLarge, format!("The body must have at most {BODY_LIMIT} bytes."))
}

/// Names of UTF-8 that clients use, and of its subset ASCII
/// (<https://encoding.spec.whatwg.org/#names-and-labels>).
const UTF_8: &[&str] =
    &["utf-8", "utf8", "unicode-1-1-utf-8", "x-unicode20utf8", "utf-8-sig", "us-ascii", "ascii"];

fn check_media_type(headers: &HeaderMap) -> Result<(), Error> {
    let refused = |message: String| Err(Error::refused(ErrorCode::UnsupportedMediaType, message));
    let right = "The body must be JSON: send Content-Type: application/json";
    let mut content_types = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(content_type) = content_types.next() else {
        return refused(format!("{right}; there is no Content-Type."));
    };
    if content_types.next().is_some() {
        return refused(format!("{right} once; it came several times."));
    }
    let mut parts = content_type.to_str().unwrap_or_default().split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !essence.eq_ignore_ascii_case("application/json") {
        return refused(if essence.is_empty() {
            format!("{right}.")
        } else {
            format!("{right}, not {essence}.")
        });
    }
    // JSON defines no such parameter (RFC 8259, 11), so refuse only what contradicts UTF-8.
    let parameters = parts.filter_map(|part| part.split_once('='));
    let charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    for (_, charset) in charsets {
        let charset = charset.trim().trim_matches(['"', '\'']);
        if !charset.is_empty() && !UTF_8.iter().any(|name| charset.eq_ignore_ascii_case(name)) {
            return refused(format!(
                "The body must be JSON in UTF-8: send charset=utf-8 or no charset, not {charset}."
            ));
        }
    }
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refused("The body must not be compressed: leave Content-Encoding out.".to_owned());
    }
    Ok(())
}

/// Parses a JSON object. Invalid JSON is malformed; valid JSON of another shape has an invalid field.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Some Windows programs write one; parsers may ignore it (RFC 8259, 8.1).
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if is_utf_16(bytes) {
        return Err(not_json("it is UTF-16; send UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| not_json("it is not UTF-8"))?;
    // Checks the whole syntax first: otherwise a wrong type near the beginning would hide that the rest is
    // missing.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error.to_string()))?;
    // serde would also accept an array of the values in the order of the fields.
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
        // Errors found only in values: half a surrogate pair, or a number out of range.
        _ => not_json(&error.inner().to_string()),
    })
}

/// Returns whether the text looks like JSON in UTF-16: it begins with a byte order mark or with two ASCII
/// characters.
fn is_utf_16(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[', 0, _, 0, ..] | [0, b'{' | b'[', 0, _, ..]
    )
}

fn not_json(problem: &str) -> Error {
    Error::refused(ErrorCode::MalformedRequest, format!("The body is not valid JSON: {problem}"))
}
