//! Requests and responses.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use tower::ServiceExt as _;

use super::super::router;
use super::{Memory, NOW, gauge, request};
use crate::store::metrics::{Limits, MetricSource as _};

const PROTOBUF: &str = "application/x-protobuf";

async fn send(sink: &Memory, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let response = router(Arc::new(sink.clone()), Arc::new(|| NOW)).oneshot(request).await.unwrap();
    let status = response.status();
    (status, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
}

fn post(path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Body> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_export_is_stored_compressed_or_not() {
    for compressed in [false, true] {
        let sink = Memory::new(Limits::default());
        let export = request(vec![gauge("disk.free", "By", NOW, 7.0)]).encode_to_vec();
        let plain = post("/v1/metrics", &[("content-type", PROTOBUF)], export.clone());
        let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
        let packed = post("/v1/metrics", &headers, gzip(&export));
        let (status, body) = send(&sink, if compressed { packed } else { plain }).await;
        assert_eq!(status, StatusCode::OK);
        let response = ExportMetricsServiceResponse::decode(body.as_slice()).unwrap();
        assert_eq!(response.partial_success, None, "nothing was refused");
        assert_eq!(sink.0.lock().unwrap().store.series("disk_free_bytes").len(), 1);
    }
}

#[tokio::test]
async fn refused_points_are_reported() {
    let sink = Memory::new(Limits { series: 2, ..Limits::default() });
    let metrics = ["a", "b", "c"].map(|name| gauge(name, "", NOW, 1.0)).to_vec();
    let (status, body) =
        send(&sink, post("/v1/metrics", &[("content-type", PROTOBUF)], request(metrics).encode_to_vec()))
            .await;
    assert_eq!(status, StatusCode::OK);
    let partial = ExportMetricsServiceResponse::decode(body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 2, "the third metric and target_info");
    assert_eq!(partial.error_message, "2 points: The console holds its maximum number of series.");
}

#[tokio::test]
async fn spans_are_handed_on() {
    let sink = Memory::new(Limits::default());
    let export = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default()] };
    let (status, body) =
        send(&sink, post("/v1/traces", &[("content-type", PROTOBUF)], export.encode_to_vec())).await;
    assert_eq!(status, StatusCode::OK);
    let partial = ExportTraceServiceResponse::decode(body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "Too many."));
    assert_eq!(sink.0.lock().unwrap().spans.len(), 1);
}

#[tokio::test]
async fn other_requests_get_a_text_that_says_what_is_right() {
    let protobuf = ("content-type", PROTOBUF);
    let large = vec![0; (4 << 20) + 1];
    let cases = [
        (post("/v1/metrics", &[("content-type", "application/json")], vec![]), 415, "http/protobuf"),
        (post("/v1/metrics", &[("content-type", "application/grpc")], vec![]), 415, "http/protobuf"),
        (post("/v1/metrics", &[("content-type", "text/plain")], vec![]), 415, PROTOBUF),
        (post("/v1/traces", &[], vec![]), 415, PROTOBUF),
        (post("/v1/metrics", &[protobuf, ("content-encoding", "zstd")], vec![]), 415, "gzip"),
        (post("/v1/metrics", &[protobuf, ("content-encoding", "gzip")], vec![1, 2]), 400, "not gzip"),
        (post("/v1/metrics", &[protobuf, ("content-encoding", "gzip")], gzip(&large)), 413, "4 MiB"),
        (post("/v1/metrics", &[protobuf], large.clone()), 413, "4 MiB"),
        (post("/v1/metrics", &[protobuf], vec![0xff; 20]), 400, "protobuf"),
        (post("/v1/metrics", &[protobuf, ("origin", "http://evil.example")], vec![]), 403, "web pages"),
        (post("/v1/logs", &[protobuf], vec![]), 404, "log files"),
        (post("/", &[protobuf], vec![]), 404, "/v1/metrics"),
        (Request::get("/v1/metrics").body(Body::empty()).unwrap(), 405, "POST"),
    ];
    for (request, expected, text) in cases {
        let sink = Memory::new(Limits::default());
        let what = format!("{request:?}");
        let (status, body) = send(&sink, request).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, expected, "{what}");
        assert!(body.contains(text), "{what}: {body}");
    }
}

#[tokio::test]
async fn the_listener_serves_exports() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let sink = Memory::new(Limits::default());
    let listener = super::super::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(super::super::serve(listener, Arc::new(sink.clone()), Arc::new(|| NOW)));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = request(vec![gauge("disk.free", "By", NOW, 7.0)]).encode_to_vec();
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nhost: {address}\r\ncontent-type: {PROTOBUF}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&response));
    assert_eq!(sink.0.lock().unwrap().collections.len(), 1);
    server.abort();
}
