//! Faulty S3 servers: overloaded, disconnecting, stalling and sending wrong content.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use socialize::features::files::clean_up_blobs;
use socialize::platform::blobs::BlobTimeouts;
use telemetry::ErrorType;
use test_support::s3_at;

use super::s3::{team, unavailable};
use super::{MIB, MP4, attach, attached, file, in_pieces, operations};
use crate::content::Team;
use crate::world::PNG;

/// Timeout that a stalling peer reaches. A local peer that responds is faster, even on a busy machine.
const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(60);
const PATIENT: BlobTimeouts = BlobTimeouts { connect: LONG, response: LONG, put: LONG };

/// Fault of the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    /// Responds like an overloaded server.
    Busy,
    /// Like [`Self::Busy`], for the first few requests only.
    BusyAtFirst,
    /// Fails with an internal error.
    Internal,
    /// Never responds.
    Stalls,
    /// Closes the connection instead of responding.
    Hangs,
    /// Sends half of the promised bytes and closes the connection.
    Truncates,
    /// Sends half of the bytes and then stalls.
    StallsInTheMiddle,
    /// Sends the right number of wrong bytes.
    Spoils,
}

/// A server with a bucket in memory. It checks no signatures; its fault affects one kind of request.
#[derive(Clone)]
struct FaultyServer {
    faults: Arc<Mutex<HashMap<Method, Fault>>>,
    objects: Arc<Mutex<HashMap<String, Bytes>>>,
    requests: Arc<AtomicUsize>,
    url: String,
}

impl FaultyServer {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Self { faults: Arc::default(), objects: Arc::default(), requests: Arc::default(), url };
        let router = Router::new().fallback(respond).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn break_down(&self, method: Method, fault: Fault) {
        self.faults.lock().expect("unpoisoned").insert(method, fault);
        self.requests.store(0, SeqCst);
    }

    async fn team(&self, timeouts: BlobTimeouts) -> Team {
        team(s3_at(&self.url), timeouts).await
    }
}

async fn respond(State(server): State<FaultyServer>, request: Request) -> Response {
    let fault = server.faults.lock().expect("unpoisoned").get(request.method()).copied();
    let earlier = server.requests.fetch_add(1, SeqCst);
    match fault.unwrap_or(Fault::Nothing) {
        Fault::Busy => return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Fault::BusyAtFirst if earlier < 2 => return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Fault::Internal => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Fault::Stalls => std::future::pending().await,
        // The connection ends with its task.
        Fault::Hangs => panic!("the server hangs up"),
        _ => {}
    }
    let (path, query) =
        (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    match *request.method() {
        Method::PUT => {
            let Ok(body) = request.into_body().collect().await else {
                return StatusCode::BAD_REQUEST.into_response();
            };
            let name = format!(
                "{path}?{}",
                query.split('&').find(|part| part.starts_with("partNumber")).unwrap_or_default()
            );
            server.objects.lock().expect("unpoisoned").insert(name, body.to_bytes());
            [("etag", "\"stored\"")].into_response()
        }
        Method::POST if query.contains("uploads") => {
            "<InitiateMultipartUploadResult><UploadId>parts</UploadId></InitiateMultipartUploadResult>"
                .into_response()
        }
        Method::POST => {
            let mut objects = server.objects.lock().expect("unpoisoned");
            let parts = (1..).map_while(|number| objects.remove(&format!("{path}?partNumber={number}")));
            let whole = parts.collect::<Vec<_>>().concat();
            objects.insert(format!("{path}?"), whole.into());
            "<CompleteMultipartUploadResult><ETag>stored</ETag></CompleteMultipartUploadResult>"
                .into_response()
        }
        Method::DELETE => {
            server.objects.lock().expect("unpoisoned").remove(&format!("{path}?"));
            StatusCode::NO_CONTENT.into_response()
        }
        _ => match server.objects.lock().expect("unpoisoned").get(&format!("{path}?")) {
            Some(content) => send(content.clone(), fault.unwrap_or(Fault::Nothing), &request),
            None => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
    }
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code><Message>canary</Message></Error>")).into_response()
}

/// Responds to an open-ended range request, which the library sends after a broken download.
fn send(content: Bytes, fault: Fault, request: &Request) -> Response {
    let range = request.headers().get("range").and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
    let (size, content) = (content.len(), content.slice(start.unwrap_or(0)..));
    let length = content.len();
    let half = content.slice(..length / 2);
    let pieces = |pieces: Vec<Bytes>| stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let body = match fault {
        Fault::Truncates => Body::from_stream(
            pieces(vec![half]).chain(stream::iter([Err(std::io::Error::other("broken off"))])),
        ),
        Fault::StallsInTheMiddle => Body::from_stream(pieces(vec![half]).chain(stream::pending())),
        Fault::Spoils => Body::from(vec![b'x'; length]),
        _ => Body::from(content),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert("content-length", length.into());
    headers.insert("etag", "\"stored\"".parse().expect("a header"));
    headers.insert("last-modified", "Mon, 23 Nov 2026 09:00:00 GMT".parse().expect("a header"));
    if let Some(start) = start {
        let content_range = format!("bytes {start}-{}/{size}", size - 1);
        headers.insert("content-range", content_range.parse().expect("a header"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

#[tokio::test]
async fn the_stand_in_is_a_store_while_nothing_is_wrong() {
    let server = FaultyServer::start().await;
    let team = server.team(PATIENT).await;
    let content = file(MP4, 11 * MIB);
    let (_, path) = attached(&team, in_pieces(content.clone())).await;
    assert!(team.test.get(team.reviewer, &path).await.expect(200).bytes == content);
}

#[tokio::test]
async fn a_busy_store_fails_the_upload_and_the_health_check() {
    for (fault, cause) in [
        (Fault::Busy, ErrorType::Unavailable),
        (Fault::Internal, ErrorType::Unavailable),
        (Fault::Hangs, ErrorType::ConnectionReset),
    ] {
        let server = FaultyServer::start().await;
        for method in [Method::PUT, Method::GET] {
            server.break_down(method, fault);
        }
        let team = server.team(PATIENT).await;
        unavailable(&team, "unavailable", cause).await;
    }
}

#[tokio::test]
async fn a_store_that_is_busy_for_a_moment_is_asked_again() {
    let server = FaultyServer::start().await;
    let team = server.team(PATIENT).await;
    server.break_down(Method::PUT, Fault::BusyAtFirst);
    let item = team.draft().await;
    attach(&team, &item, PNG).await.expect(201);
    assert_eq!((operations(&team.test, "put", "ok"), operations(&team.test, "put", "unavailable")), (1, 0));
}

#[tokio::test]
async fn a_store_that_stalls_is_waited_for_only_so_long() {
    let server = FaultyServer::start().await;
    server.break_down(Method::PUT, Fault::Stalls);
    let team = server.team(BlobTimeouts { put: SHORT, ..PATIENT }).await;
    let item = team.draft().await;
    attach(&team, &item, PNG).await.expect_error(503, "timeout");
    assert_eq!(operations(&team.test, "put", "timeout"), 1);
    attach(&team, &item, in_pieces(file(MP4, 6 * MIB))).await.expect_error(503, "timeout");
    assert_eq!(operations(&team.test, "put_part", "timeout"), 1);
    // The possibly stored object is recorded for the clean-up.
    assert_eq!((team.rows("attachments").await, team.rows("unreferenced_blobs").await), (0, 2));

    server.break_down(Method::PUT, Fault::Nothing);
    team.test.app.clock.advance(clean_up_blobs::ABANDONED_AFTER);
    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    assert_eq!(team.rows("unreferenced_blobs").await, 0);
    assert_eq!(operations(&team.test, "abort_parts", "ok"), 1);
    attach(&team, &item, PNG).await.expect(201);
}

#[tokio::test]
async fn a_part_that_fails_fails_the_upload() {
    let server = FaultyServer::start().await;
    let team = server.team(PATIENT).await;
    let item = team.draft().await;
    server.break_down(Method::PUT, Fault::Internal);
    attach(&team, &item, in_pieces(file(MP4, 6 * MIB))).await.expect_error(503, "unavailable");
    server.break_down(Method::PUT, Fault::Nothing);
    server.break_down(Method::POST, Fault::Internal);
    attach(&team, &item, in_pieces(file(MP4, 6 * MIB))).await.expect_error(503, "unavailable");
    let failed = |operation| operations(&team.test, operation, "unavailable");
    assert_eq!((failed("put_part"), failed("begin_parts")), (1, 1));
    assert_eq!(team.rows("attachments").await, 0);
}

/// Reads a response to its end, or until it breaks.
async fn read(team: &Team, path: &str) -> (u16, Result<Bytes, ()>) {
    let request = team.test.request(Some(team.reviewer), Method::GET, path, &Value::Null, &[]);
    let response = team.test.send_unread(request).await;
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.map(|body| body.to_bytes()).map_err(drop))
}

#[tokio::test]
async fn what_a_store_does_not_send_whole_and_right_is_not_sent_whole() {
    let server = FaultyServer::start().await;
    let team = server.team(BlobTimeouts { response: SHORT, ..PATIENT }).await;
    let (_, path) = attached(&team, in_pieces(file(MP4, MIB))).await;
    for (fault, outcome) in
        [(Fault::Spoils, "corrupt"), (Fault::StallsInTheMiddle, "timeout"), (Fault::Truncates, "unavailable")]
    {
        server.break_down(Method::GET, fault);
        let (status, body) = read(&team, &path).await;
        assert_eq!((status, body), (200, Err(())), "{fault:?}");
        assert_eq!(operations(&team.test, "read", outcome), 1, "{fault:?}");
    }
    for (fault, code, outcome) in
        [(Fault::Stalls, "timeout", "timeout"), (Fault::Internal, "unavailable", "unavailable")]
    {
        server.break_down(Method::GET, fault);
        team.test.get(team.reviewer, &path).await.expect_error(503, code);
        assert_eq!(operations(&team.test, "get", outcome), 1, "{fault:?}");
    }
    server.break_down(Method::GET, Fault::Nothing);
    assert_eq!(team.test.get(team.reviewer, &path).await.expect(200).bytes.len(), MIB);

    server.objects.lock().expect("unpoisoned").clear();
    team.test.get(team.reviewer, &path).await.expect_error(500, "internal");
    assert_eq!(operations(&team.test, "get", "not_found"), 1);
}

#[tokio::test]
async fn a_store_that_was_well_a_moment_ago_is_not_asked_how_it_is() {
    let server = FaultyServer::start().await;
    let team = server.team(PATIENT).await;
    assert_eq!(team.test.app.blobs.check().await, Ok(()));
    server.requests.store(0, SeqCst);
    for _ in 0..100 {
        assert_eq!(team.test.app.blobs.check().await, Ok(()));
    }
    assert_eq!(server.requests.load(SeqCst), 0);
    // After a failure, the next health check sends a request at once.
    server.break_down(Method::PUT, Fault::Internal);
    server.break_down(Method::GET, Fault::Internal);
    let item = team.draft().await;
    attach(&team, &item, PNG).await.expect_error(503, "unavailable");
    assert_eq!(team.test.app.blobs.check().await, Err(ErrorType::Unavailable));
}
