//! Uploaded files: accepted, rejected, downloaded and cleaned up.

mod clean_up;
mod downloads;
mod real_files;
mod s3;
mod s3_trouble;
mod screenshots;
mod uploads;

use axum::body::Body;
use bytes::Bytes;
use domain::ids::UserId;
use futures_util::stream;
use http::{Method, Request};
use serde_json::Value;
use telemetry::meter;
use test_support::{Answer, TestApp};

use crate::content::Team;
use crate::world::PNG;

const MIB: usize = 1 << 20;

/// First bytes of files.
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0";
const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";
const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42\0\0\0\0mdat";
pub(crate) const PDF: &[u8] = b"%PDF-1.7\n";

/// A file with these first bytes and this size, in which no two pieces are equal.
pub(crate) fn file(beginning: &[u8], size: usize) -> Vec<u8> {
    let mut file = beginning.to_vec();
    file.extend((beginning.len()..size).map(|position| (position * 31 + position / 251) as u8));
    file
}

/// A body without a known length.
fn in_pieces(file: Vec<u8>) -> Body {
    let pieces: Vec<Bytes> = file.chunks(64 << 10).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

fn request(
    test: &TestApp,
    caller: UserId,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = test.request(Some(caller), method, path, &Value::Null, &[]);
    *request.body_mut() = body.into();
    request
}

/// Attaches a file to the current version of the item.
pub(crate) async fn attach(team: &Team, item: &str, body: impl Into<Body>) -> Answer {
    let path = format!("{item}/attachments");
    let mut request = request(&team.test, team.author, Method::POST, &path, body);
    request.headers_mut().insert("if-match", "*".parse().expect("a header"));
    team.test.send(request).await
}

/// Creates an item with a picture, and returns both paths.
async fn attached(team: &Team, body: impl Into<Body>) -> (String, String) {
    let item = team.draft().await;
    let id = attach(team, &item, body).await.expect(201).text("id");
    let path = format!("{item}/attachments/{id}");
    (item, path)
}

async fn picture(team: &Team) -> (String, String) {
    attached(team, PNG).await
}

/// Number of blob store operations with this outcome.
fn operations(test: &TestApp, operation: &str, outcome: &str) -> u64 {
    let labels = [("operation", operation), ("outcome", outcome)];
    match test.metrics().value("socialize.blob.operation.duration", &labels) {
        Some(meter::Value::Distribution(distribution)) => distribution.count(),
        other => panic!("a histogram of operations, not {other:?}"),
    }
}

/// Asserts that nothing was stored or left to clean up.
async fn nothing_stays(team: &Team) {
    assert_eq!(team.test.stored_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!((team.rows("attachments").await, team.rows("unreferenced_blobs").await), (0, 0));
}
