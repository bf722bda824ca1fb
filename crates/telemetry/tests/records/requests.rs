//! Requests with every kind of outcome.
//!
//! Long because each outcome of a request is a test.

use std::net::SocketAddr;
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::Value;
use telemetry::http_server::{
    HttpServer, HttpServerService, HttpServerSettings, REQUEST_ID, RouteDescription, UrlScheme,
};
use telemetry::{ErrorType, Telemetry, TraceId, current};
use tower::ServiceExt;

use crate::support::{
    FLAG_REMOTE_IS_KNOWN, FLAG_SAMPLED, Line, all_signals, assert_exemplar_names, assert_line_equals_point,
    assert_line_equals_span, hex, metrics, take_lines, take_spans, used_points, values,
};

pub(crate) const DURATION: &str = "http.server.request.duration";
const ACTIVE: &str = "http.server.active_requests";

/// A peer whose trace context is continued.
pub(crate) const TRUSTED: &str = "10.1.2.3:4567";

/// A peer whose headers tell the scheme of a request.
const PROXY: &str = "192.168.1.2:4567";

/// Builds routes whose handlers cover every outcome.
pub(crate) fn router(telemetry: &Telemetry) -> HttpServerService<Router> {
    router_behind(telemetry, &[])
}

/// The same behind proxies whose public URL begins with `https`.
fn router_behind(telemetry: &Telemetry, proxies: &[&str]) -> HttpServerService<Router> {
    let settings = HttpServerSettings {
        trusted_peers: vec!["10.0.0.0/8".parse().expect("a network")],
        proxies: proxies.iter().map(|network| network.parse().expect("a network")).collect(),
        scheme_of_proxies: UrlScheme::Https,
        unmatched_statuses: vec![404, 405],
        panic_response: |trace_id: TraceId| {
            (StatusCode::INTERNAL_SERVER_ERROR, trace_id.to_string()).into_response()
        },
    };
    let server = HttpServer::new(telemetry, settings);
    let described = |method: Method, route: &str, statuses: &[u16]| RouteDescription {
        method,
        route: route.to_owned(),
        statuses: statuses.to_vec(),
    };
    let routes = [
        described(Method::GET, "/items/{item_id}", &[200, 404]),
        described(Method::POST, "/items/{item_id}", &[201]),
        described(Method::GET, "/failures/{status}/{error_type}", &[]),
        described(Method::GET, "/panics", &[200]),
        described(Method::GET, "/waits", &[200]),
        described(Method::POST, "/creations", &[201]),
    ];
    let router = Router::new()
        .route("/items/{item_id}", get(read_item).post(async || StatusCode::CREATED))
        .route("/failures/{status}/{error_type}", get(fail))
        .route("/panics", get(panic))
        .route("/waits", get(std::future::pending::<()>))
        .route("/creations", post(async || StatusCode::CREATED))
        .route("/unrecorded", get(async || StatusCode::OK));
    server.observe(router, &routes, &["/unrecorded"])
}

async fn read_item(Path(item_id): Path<String>) -> StatusCode {
    match item_id.as_str() {
        "missing" => StatusCode::NOT_FOUND,
        "teapot" => StatusCode::IM_A_TEAPOT,
        _ => StatusCode::OK,
    }
}

async fn fail(Path((status, error_type)): Path<(u16, String)>) -> Response {
    let all: &[ErrorType] = telemetry::ClosedSet::ALL;
    let error_type = all.iter().find(|known| telemetry::ClosedSet::as_str(**known) == error_type);
    if let Some(error_type) = error_type {
        current::fail(*error_type, Location::caller());
    }
    StatusCode::from_u16(status).expect("a status").into_response()
}

async fn panic() {
    panic!("a handler's own text, which must appear nowhere")
}

pub(crate) fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")
}

pub(crate) fn get_request(path: &str) -> Request<Body> {
    request(Method::GET, path)
}

/// Makes the request appear to come from a peer.
pub(crate) fn from_peer(mut request: Request<Body>, peer: &str) -> Request<Body> {
    let peer: SocketAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// The three signals of one request.
pub(crate) struct Recorded {
    pub(crate) line: Line,
    pub(crate) span: Span,
    pub(crate) point: ExponentialHistogramDataPoint,
}

impl Recorded {
    /// Takes the recorded signals, which must be exactly one of each kind, and compares them.
    #[track_caller]
    pub(crate) fn take(telemetry: &Telemetry) -> Self {
        let (lines, spans) = (take_lines(telemetry), take_spans(telemetry));
        let points = used_points(telemetry, DURATION);
        let line = only(lines);
        let span = only(spans);
        let point = only(points);
        assert_line_equals_span(&line, &span);
        assert_line_equals_point(&line, &point);
        assert_exemplar_names(&point, &span);
        assert_eq!(line.text("event"), "http.server.request");
        assert_eq!(span.kind, SpanKind::Server as i32);
        assert_nothing_is_active(telemetry);
        Self { line, span, point }
    }

    #[track_caller]
    fn expect(&self, expected: &Expected) {
        let field = |name: &str| self.line.fields.get(name).cloned();
        let text = |name: Option<&str>| name.map(Value::from);
        assert_eq!(field("http.request.method"), text(Some(expected.method)));
        assert_eq!(field("http.route"), text(expected.route));
        assert_eq!(field("url.scheme"), text(Some(expected.scheme)));
        assert_eq!(field("network.protocol.version"), text(expected.version));
        assert_eq!(field("http.response.status_code"), expected.status.map(Value::from));
        assert_eq!(field("error.type"), text(expected.error_type));
        assert_eq!(field("error.cause"), text(expected.error_cause));
        assert_eq!(self.line.text("level"), expected.level);
        assert_eq!(self.span.name, expected.span_name);
        let status_code = self.span.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(status_code, if expected.level == "error" { 2 } else { 0 });
        // The labels of a point repeat exactly what the line says about the outcome.
        let mut labels = vec!["http.request.method", "url.scheme"];
        labels.extend(expected.route.map(|_| "http.route"));
        labels.extend(expected.error_type.map(|_| "error.type"));
        labels.extend(expected.status.map(|_| "http.response.status_code"));
        labels.sort_unstable();
        assert_eq!(values(&self.point.attributes).keys().collect::<Vec<_>>(), labels);
    }
}

struct Expected {
    method: &'static str,
    route: Option<&'static str>,
    scheme: &'static str,
    version: Option<&'static str>,
    span_name: &'static str,
    status: Option<u16>,
    level: &'static str,
    error_type: Option<&'static str>,
    error_cause: Option<&'static str>,
}

const ITEM_READ: Expected = Expected {
    method: "GET",
    route: Some("/items/{item_id}"),
    scheme: "http",
    version: Some("1.1"),
    span_name: "GET /items/{item_id}",
    status: Some(200),
    level: "info",
    error_type: None,
    error_cause: None,
};

const FAILED: Expected = Expected {
    route: Some("/failures/{status}/{error_type}"),
    span_name: "GET /failures/{status}/{error_type}",
    level: "error",
    ..ITEM_READ
};

#[track_caller]
fn only<T: std::fmt::Debug>(mut all: Vec<T>) -> T {
    assert_eq!(all.len(), 1, "exactly one: {all:?}");
    all.remove(0)
}

#[track_caller]
pub(crate) fn assert_nothing_is_active(telemetry: &Telemetry) {
    assert!(metrics(telemetry).iter().any(|metric| metric.name == ACTIVE));
    assert_eq!(telemetry.meter().snapshot().total(ACTIVE), 0);
}

/// Sends a request, waits for the response and takes its three signals.
async fn exchange(request: Request<Body>) -> Recorded {
    let telemetry = Telemetry::new(all_signals());
    let response = router(&telemetry).oneshot(request).await.expect("an answer");
    let recorded = Recorded::take(&telemetry);
    assert_eq!(response.headers()[REQUEST_ID], hex(&recorded.span.trace_id), "users see the trace id");
    let status = recorded.line.fields["http.response.status_code"].as_u64();
    assert_eq!(status, Some(u64::from(response.status().as_u16())));
    recorded
}

#[tokio::test]
async fn an_answered_request() {
    let recorded = exchange(get_request("/items/7?secret=query")).await;
    recorded.expect(&ITEM_READ);
    assert!(recorded.span.parent_span_id.is_empty());
    assert!(recorded.span.links.is_empty());
    assert_eq!(recorded.span.flags, FLAG_REMOTE_IS_KNOWN | FLAG_SAMPLED);
    assert!(!recorded.line.text.contains("secret"), "no query string: {}", recorded.line.text);
}

#[tokio::test]
async fn a_method_of_the_same_route() {
    let recorded = exchange(request(Method::POST, "/items/7")).await;
    let expected =
        Expected { method: "POST", span_name: "POST /items/{item_id}", status: Some(201), ..ITEM_READ };
    recorded.expect(&expected);
}

#[tokio::test]
async fn a_documented_refusal_is_no_error() {
    exchange(get_request("/items/missing")).await.expect(&Expected { status: Some(404), ..ITEM_READ });
}

#[tokio::test]
async fn an_undocumented_status_is_an_error_and_creates_no_series() {
    let telemetry = Telemetry::new(all_signals());
    let router = router(&telemetry);
    let before = series(&telemetry);
    let response = router.oneshot(get_request("/items/teapot")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    let recorded = Recorded::take(&telemetry);
    let labels = values(&recorded.point.attributes);
    assert_eq!(labels.get("error.type"), Some(&Value::from("internal")));
    assert_eq!(labels.get("http.response.status_code"), None);
    assert_eq!(recorded.line.fields["http.response.status_code"], 418);
    assert_eq!(recorded.line.text("level"), "error");
    assert_eq!(recorded.span.status.expect("a status").code, 2);
    assert_eq!(series(&telemetry), before);
}

#[tokio::test]
async fn a_path_without_a_route() {
    let recorded = exchange(get_request("/wp-login.php")).await;
    let expected = Expected { route: None, span_name: "GET", status: Some(404), ..ITEM_READ };
    recorded.expect(&expected);
    assert!(!recorded.line.text.contains("wp-login"), "no path: {}", recorded.line.text);
}

#[tokio::test]
async fn a_route_that_is_not_recorded() {
    let telemetry = Telemetry::new(all_signals());
    let answer = router(&telemetry).oneshot(get_request("/unrecorded")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers().get(REQUEST_ID), None);
    assert!(take_lines(&telemetry).is_empty() && take_spans(&telemetry).is_empty());
    assert!(used_points(&telemetry, DURATION).is_empty());
}

#[tokio::test]
async fn a_method_that_the_route_does_not_know() {
    for (method, label, span_name) in [
        ("DELETE", "DELETE", "DELETE"),
        ("HEAD", "HEAD", "HEAD"),
        ("QUERY", "QUERY", "QUERY"),
        ("PURGE", "_OTHER", "HTTP"),
        // Names of methods are case-sensitive.
        ("Get", "_OTHER", "HTTP"),
    ] {
        let path = if method == "HEAD" { "/creations" } else { "/items/7" };
        let telemetry = Telemetry::new(all_signals());
        let router = router(&telemetry);
        let before = series(&telemetry);
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let response = router.oneshot(request(method, path)).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let expected = Expected { method: label, route: None, span_name, status: Some(405), ..ITEM_READ };
        let recorded = Recorded::take(&telemetry);
        recorded.expect(&expected);
        assert!(!recorded.line.text.contains("PURGE"), "{}", recorded.line.text);
        assert_eq!(series(&telemetry), before, "a scanner creates no series");
    }
}

#[tokio::test]
async fn head_is_served_by_get_and_recorded_as_itself() {
    let expected = Expected { method: "HEAD", span_name: "HEAD /items/{item_id}", ..ITEM_READ };
    exchange(request(Method::HEAD, "/items/7")).await.expect(&expected);
}

#[tokio::test]
async fn a_version_is_that_of_the_connection() {
    for (version, expected) in [
        (Version::HTTP_10, Some("1.0")),
        (Version::HTTP_11, Some("1.1")),
        (Version::HTTP_2, Some("2")),
        // No request was read, so it has no version.
        (Version::HTTP_09, None),
    ] {
        let mut request = get_request("/items/7");
        *request.version_mut() = version;
        let telemetry = Telemetry::new(all_signals());
        let router = router(&telemetry);
        let before = series(&telemetry);
        router.oneshot(request).await.expect("an answer");
        Recorded::take(&telemetry).expect(&Expected { version: expected, ..ITEM_READ });
        assert_eq!(series(&telemetry), before, "no label tells the version");
    }
}

#[tokio::test]
async fn the_scheme_is_that_of_the_client() {
    const PROXIES: &[&str] = &["192.168.0.0/16"];
    for (proxies, peer, header, scheme) in [
        (PROXIES, PROXY, Some("https"), "https"),
        (PROXIES, PROXY, Some("http"), "http"),
        // The public URL provides the scheme if the proxy does not.
        (PROXIES, PROXY, None, "https"),
        (PROXIES, PROXY, Some("gopher"), "https"),
        // Connections without a proxy are not encrypted, whatever the client says.
        (PROXIES, "192.0.2.1:4567", Some("https"), "http"),
        (PROXIES, TRUSTED, Some("https"), "http"),
        (&[], PROXY, Some("https"), "http"),
    ] {
        let telemetry = Telemetry::new(all_signals());
        let router = router_behind(&telemetry, proxies);
        let before = series(&telemetry);
        let mut request = from_peer(get_request("/items/7"), peer);
        if let Some(header) = header {
            let header = HeaderValue::from_static(header);
            request.headers_mut().insert("x-forwarded-proto", header);
        }
        router.oneshot(request).await.expect("an answer");
        Recorded::take(&telemetry).expect(&Expected { scheme, ..ITEM_READ });
        let is_usual = scheme == if proxies.is_empty() { "http" } else { "https" };
        assert_eq!(series(&telemetry) == before, is_usual, "{proxies:?} {peer} {header:?}");
    }
}

/// Returns the number of series.
fn series(telemetry: &Telemetry) -> usize {
    telemetry.meter().snapshot().families.iter().map(|family| family.points.len()).sum()
}

#[tokio::test]
async fn a_failure_says_why_and_where() {
    let cases = [
        (500, "database_other", "internal"),
        (500, "internal", "internal"),
        (503, "pool_timeout", "unavailable"),
        (503, "timeout", "timeout"),
    ];
    for (status, cause, error_type) in cases {
        let recorded = exchange(get_request(&format!("/failures/{status}/{cause}"))).await;
        let expected = Expected {
            status: Some(status),
            error_type: Some(error_type),
            error_cause: Some(cause),
            ..FAILED
        };
        recorded.expect(&expected);
        let location = recorded.line.text("code.location");
        assert!(location.contains("tests/records/requests.rs:"), "{location}");
    }
}

#[tokio::test]
async fn a_failure_that_nobody_explained() {
    let recorded = exchange(get_request("/failures/500/unexplained")).await;
    recorded.expect(&Expected { status: Some(500), error_type: Some("internal"), ..FAILED });
}

#[tokio::test]
async fn a_panic() {
    let recorded = exchange(get_request("/panics")).await;
    let expected = Expected {
        route: Some("/panics"),
        span_name: "GET /panics",
        status: Some(500),
        level: "error",
        error_type: Some("panic"),
        error_cause: Some("panic"),
        ..ITEM_READ
    };
    recorded.expect(&expected);
    assert!(!recorded.line.text.contains("own text"), "{}", recorded.line.text);
}

#[tokio::test]
async fn a_client_that_goes_away() {
    let telemetry = Telemetry::new(all_signals());
    let router = router(&telemetry);
    {
        let mut response = pin!(router.oneshot(get_request("/waits")));
        let first = std::future::poll_fn(|context| Poll::Ready(response.as_mut().poll(context))).await;
        assert!(first.is_pending());
        assert_eq!(telemetry.meter().snapshot().total(ACTIVE), 1);
        assert!(take_lines(&telemetry).is_empty());
    }
    let expected = Expected {
        route: Some("/waits"),
        span_name: "GET /waits",
        status: None,
        error_type: Some("cancelled"),
        ..ITEM_READ
    };
    Recorded::take(&telemetry).expect(&expected);
}
