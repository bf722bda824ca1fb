//! Reading of request bodies within limits.

use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use flate2::read::GzDecoder;
use http::{HeaderMap, StatusCode, header};

/// Maximum size of a body as sent, and after decompression. Senders stay below it, because it is also
/// the default of the OpenTelemetry Collector.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// Deadline for a body to arrive.
const DEADLINE: Duration = Duration::from_secs(10);

/// Rejection of a request, with a text for the person who configured the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) &'static str);

/// Checks the headers of an export.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refused> {
    // Browsers send this header; exporters do not. A web page must not write into the store.
    if headers.contains_key(header::ORIGIN) {
        return Err(Refused(StatusCode::FORBIDDEN, "Exports from web pages are not accepted."));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let unsupported = |text| Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Ok(()),
        "application/json" => unsupported(
            "OTLP in JSON is not accepted. Send protobuf: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.",
        ),
        grpc if grpc.starts_with("application/grpc") => unsupported(
            "OTLP by gRPC is not accepted. Send it over HTTP: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.",
        ),
        _ => unsupported("The content type must be application/x-protobuf."),
    }
}

/// Reads and decompresses a body.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refused> {
    let read = tokio::time::timeout(DEADLINE, to_bytes(body, MOST_BYTES)).await;
    let Ok(read) = read else {
        return Err(Refused(StatusCode::REQUEST_TIMEOUT, "The request did not arrive within 10 seconds."));
    };
    let bytes = read.map_err(|_| TOO_LARGE)?;
    match headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        None | Some(b"identity") => Ok(bytes.into()),
        Some(b"gzip") => decompress(&bytes),
        Some(_) => Err(Refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The only accepted compression is gzip: set OTEL_EXPORTER_OTLP_COMPRESSION=gzip.",
        )),
    }
}

const TOO_LARGE: Refused = Refused(
    StatusCode::PAYLOAD_TOO_LARGE,
    "The request is incomplete or larger than 4 MiB. Export fewer points or spans per request.",
);

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut decompressed = Vec::new();
    let read = GzDecoder::new(bytes).take(MOST_BYTES as u64 + 1).read_to_end(&mut decompressed);
    match read {
        Err(_) => Err(Refused(StatusCode::BAD_REQUEST, "The body is not gzip, as its header says.")),
        Ok(length) if length > MOST_BYTES => Err(TOO_LARGE),
        Ok(_) => Ok(decompressed),
    }
}
