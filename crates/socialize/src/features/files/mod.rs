//! Responses with a file: whole, as a range, or 304 if the client has it.
//!
//! Files come from users and are shown to others, so browsers may only save them.

pub mod clean_up_blobs;
pub mod uploads;

use std::ops::Range;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use catalogue::labels::ErrorCode;
use domain::ids::BlobId;
use domain::vocabulary::MediaType;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_range_header::parse_range_header;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use telemetry::{ClosedSet, ErrorType};

use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::EntityTags;

/// Prevents scripts and requests even if a browser shows the file as a document.
const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'";
/// Permission to read a file can change, so clients must revalidate each time by `ETag`.
const CACHE_CONTROL: &str = "private, no-cache";
/// Characters that need no encoding in an extended header parameter (RFC 8187, 3.2.1).
const UNENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'#')
    .remove(b'$');

/// File of an attachment or screenshot, as stored in its row.
#[derive(sqlx::FromRow)]
pub(super) struct File {
    pub(super) blob_id: BlobId,
    pub(super) file_name: Option<String>,
    pub(super) media_type: MediaType,
    pub(super) size: i64,
    pub(super) checksum: Vec<u8>,
}

/// Range and conditions of a request for a file.
pub(super) struct FileRequest {
    is_head: bool,
    if_none_match: Option<String>,
    if_range: Option<String>,
    range: Option<String>,
}

impl FromRequestParts<App> for FileRequest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let joined = |name: HeaderName| joined(&parts.headers, &name);
        Ok(Self {
            is_head: parts.method == Method::HEAD,
            if_none_match: joined(header::IF_NONE_MATCH),
            if_range: joined(header::IF_RANGE),
            range: joined(header::RANGE),
        })
    }
}

/// Joins all lines of a header. Lines that are not text are left out, because they match nothing.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// The part of a file that is sent.
#[derive(Debug, PartialEq, Eq)]
enum Selection {
    Nothing,
    Whole,
    Range(Range<u64>),
    Unsatisfiable,
}

impl FileRequest {
    fn select(&self, etag: &str, size: u64) -> Selection {
        let known = self.if_none_match.as_deref().and_then(EntityTags::parse);
        if known.is_some_and(|known| known.name(etag)) {
            return Selection::Nothing;
        }
        let is_same = self.if_range.as_deref().is_none_or(|asked| asked.trim() == etag);
        let range = self.range.as_deref().filter(|_| is_same && !self.is_head);
        // Several ranges get the whole file, and a malformed header is ignored (RFC 9110, 14.2).
        let single = range.filter(|range| !range.contains(','));
        let Some(parsed) = single.and_then(|range| parse_range_header(range).ok()) else {
            return Selection::Whole;
        };
        match parsed.validate(size).as_deref() {
            Ok([range]) => Selection::Range(*range.start()..range.end() + 1),
            _ => Selection::Unsatisfiable,
        }
    }
}

/// Sends the requested part of the file.
///
/// # Errors
/// Returns an error if the range does not exist, the store fails, or the stored content has changed.
pub(super) async fn send(app: &App, request: &FileRequest, file: File) -> Result<Response, Error> {
    let checksum: [u8; 32] =
        file.checksum[..].try_into().map_err(|_| Error::failed(ErrorType::InvalidData))?;
    let size = file.size.unsigned_abs();
    let etag = etag(&checksum);
    let (status, body, length, content_range) = match request.select(&etag, size) {
        Selection::Nothing => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            insert(response.headers_mut(), header::ETAG, &etag);
            insert(response.headers_mut(), header::CACHE_CONTROL, CACHE_CONTROL);
            return Ok(response);
        }
        Selection::Unsatisfiable => {
            let message = format!("The file has {size} bytes, and none of them is in this range.");
            let mut response = Error::refused(ErrorCode::RangeNotSatisfiable, message).into_response();
            insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
        Selection::Whole if request.is_head => (StatusCode::OK, Body::empty(), size, None),
        Selection::Whole => {
            let found = app.blobs.get(file.blob_id, size, None).await?;
            (StatusCode::OK, found.into_body(Some(checksum)), size, None)
        }
        Selection::Range(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let length = range.end - range.start;
            let found = app.blobs.get(file.blob_id, size, Some(range)).await?;
            (StatusCode::PARTIAL_CONTENT, found.into_body(None), length, Some(content_range))
        }
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    insert(headers, header::CONTENT_TYPE, file.media_type.as_str());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    insert(headers, header::ETAG, &etag);
    insert(headers, header::ACCEPT_RANGES, "bytes");
    insert(headers, header::CONTENT_DISPOSITION, &disposition(file.file_name.as_deref(), file.media_type));
    insert(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(headers, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    insert(headers, header::CACHE_CONTROL, CACHE_CONTROL);
    if let Some(content_range) = content_range {
        insert(headers, header::CONTENT_RANGE, &content_range);
    }
    Ok(response)
}

/// Inserts a header whose value is visible ASCII.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn etag(checksum: &[u8; 32]) -> String {
    format!("\"{}\"", hex(checksum))
}

/// Formats a checksum as hexadecimal digits.
pub(super) fn hex(checksum: &[u8]) -> String {
    checksum.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn disposition(file_name: Option<&str>, media_type: MediaType) -> String {
    match file_name {
        Some(name) => format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, UNENCODED)),
        None => {
            let extension = match media_type {
                MediaType::Png => "png",
                MediaType::Jpeg => "jpg",
                MediaType::Gif => "gif",
                MediaType::Webp => "webp",
                MediaType::Mp4 => "mp4",
                MediaType::Pdf => "pdf",
            };
            format!("attachment; filename=\"file.{extension}\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ETAG: &str = "\"5e\"";

    fn select(range: Option<&str>, if_range: Option<&str>, if_none_match: Option<&str>) -> Selection {
        let [range, if_range, if_none_match] =
            [range, if_range, if_none_match].map(|value| value.map(str::to_owned));
        FileRequest { is_head: false, if_none_match, if_range, range }.select(ETAG, 10)
    }

    #[test]
    fn one_range_is_sent_and_everything_else_is_the_whole() {
        for (range, expected) in [
            ("bytes=0-0", Selection::Range(0..1)),
            ("bytes=2-", Selection::Range(2..10)),
            ("bytes=-3", Selection::Range(7..10)),
            ("bytes=5-100", Selection::Range(5..10)),
            ("bytes=0-9", Selection::Range(0..10)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=100-200", Selection::Unsatisfiable),
            ("bytes=0-1,4-5", Selection::Whole),
            ("bytes=4-2", Selection::Whole),
            ("bytes=", Selection::Whole),
            ("lines=1-2", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
        ] {
            assert_eq!(select(Some(range), None, None), expected, "{range}");
        }
        assert_eq!(select(None, None, None), Selection::Whole);
    }

    #[test]
    fn a_range_of_another_file_is_not_sent() {
        let select = |if_range| select(Some("bytes=0-0"), Some(if_range), None);
        assert_eq!(select(ETAG), Selection::Range(0..1));
        // A range of a compressed file has other bytes, so here a changed tag does not match (RFC 9110,
        // 13.1.5).
        for other in ["\"6f\"", "W/\"5e\"", "\"5e-gzip\"", "Mon, 23 Nov 2026 09:00:00 GMT"] {
            assert_eq!(select(other), Selection::Whole, "{other}");
        }
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let same = ["*", ETAG, "W/\"5e\"", "\"6f\", \"5e\"", "\"5e-gzip\"", "W/\"5e-br\"", "\"5e;gzip\""];
        for same in same {
            assert_eq!(select(Some("bytes=0-0"), None, Some(same)), Selection::Nothing, "{same}");
        }
        for other in ["\"6f\"", "\"6f-gzip\"", "5e", "\"5e\" *"] {
            assert_eq!(select(None, None, Some(other)), Selection::Whole, "{other}");
        }
    }

    #[test]
    fn names_of_files_cannot_leave_their_header() {
        let named = |name| disposition(Some(name), MediaType::Png);
        assert_eq!(named("a b.png"), "attachment; filename*=UTF-8''a%20b.png");
        assert_eq!(named("ä\".png"), "attachment; filename*=UTF-8''%C3%A4%22.png");
        assert_eq!(disposition(None, MediaType::Jpeg), "attachment; filename=\"file.jpg\"");
    }

    proptest! {
        #[test]
        fn every_selection_is_within_the_file(range in "(bytes=)?[0-9, -]{0,16}", size in 1_u64..100) {
            let request =
                FileRequest { is_head: false, if_none_match: None, if_range: None, range: Some(range) };
            if let Selection::Range(range) = request.select(ETAG, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn every_name_makes_a_header(name in "\\PC{1,64}") {
            prop_assert!(HeaderValue::from_str(&disposition(Some(&name), MediaType::Png)).is_ok());
        }
    }
}
