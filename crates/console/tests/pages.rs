//! The pages through their router: access, headers of responses, and errors for wrong addresses.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use console::access::{Access, OwnHosts, Token};
use console::follow::FollowStatus;
use console::pages::router;
use console::state::{Console, Facts, Stores};
use console::store::metrics::{Exemplar, Exemplars, Labels, MetricSource};
use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
use tokio::sync::watch;
use tower::ServiceExt;

mod showcase;

const NOW: i64 = 1_796_047_509_000;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn pages() -> Router {
    pages_with(Stores::in_memory())
}

fn pages_with(stores: Stores) -> Router {
    let access = Access {
        hosts: OwnHosts::new("127.0.0.1:3001".parse().expect("address"), &[]),
        token: Token::configured(TOKEN).digest(),
        cookie: "socialize_console_3001".to_owned(),
    };
    let facts = Facts { otlp_address: "127.0.0.1:4318".to_owned(), started_at: NOW, ..Facts::default() };
    let (_, followed) = watch::channel(FollowStatus::default());
    router(Arc::new(Console::with_stores(access, facts, Arc::new(|| NOW), stores, followed)))
}

async fn send(method: Method, path: &str, headers: &[(header::HeaderName, &str)]) -> Response<Body> {
    send_to(pages(), method, path, headers).await
}

async fn send_to(
    pages: Router,
    method: Method,
    path: &str,
    headers: &[(header::HeaderName, &str)],
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    pages.oneshot(request.body(Body::empty()).expect("request")).await.expect("response")
}

async fn open(path: &str) -> (StatusCode, String) {
    open_at(pages(), path).await
}

async fn open_at(pages: Router, path: &str) -> (StatusCode, String) {
    let cookie = format!("other=1; socialize_console_3001={TOKEN}");
    let headers = [(header::HOST, "localhost:3001"), (header::COOKIE, cookie.as_str())];
    let response = send_to(pages, Method::GET, path, &headers).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), 8 << 20).await.expect("body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn only_own_hosts_are_answered() {
    for path in ["/", "/health/live", "/assets/0/style.css", &format!("/?token={TOKEN}")] {
        let response = send(Method::GET, path, &[(header::HOST, "evil.example")]).await;
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn nothing_can_be_changed() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let response = send(method.clone(), "/", &[(header::HOST, "localhost")]).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    }
}

#[tokio::test]
async fn without_the_token_there_is_only_the_way_to_the_link() {
    for path in ["/", "/alerts", "/?token=wrong", "/logs?token=", "/missing"] {
        let response = send(Method::GET, path, &[(header::HOST, "localhost")]).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(response.headers().get(header::SET_COOKIE).is_none());
    }
    let wrong = [(header::HOST, "localhost"), (header::COOKIE, "socialize_console_3001=wrong")];
    assert_eq!(send(Method::GET, "/", &wrong).await.status(), StatusCode::UNAUTHORIZED);
    let live = send(Method::GET, "/health/live", &[(header::HOST, "localhost")]).await;
    assert_eq!(live.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_exchanged_for_a_cookie_and_leaves_the_address() {
    let path = format!("/alerts?range=6h&token={TOKEN}");
    let response = send(Method::GET, &path, &[(header::HOST, "localhost")]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/alerts?range=6h");
    let cookie = response.headers()[header::SET_COOKIE].to_str().expect("cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    // A second slash would make the path a host.
    let path = format!("//evil.example/?token={TOKEN}");
    let response = send(Method::GET, &path, &[(header::HOST, "localhost")]).await;
    if response.status() == StatusCode::SEE_OTHER {
        let location = response.headers()[header::LOCATION].to_str().expect("location");
        assert!(!location.starts_with("//"), "{location}");
    }
}

#[tokio::test]
async fn every_response_forbids_what_no_page_needs() {
    let cases = [("/", "localhost"), ("/health/live", "localhost"), ("/missing", "evil.example")];
    for (path, host) in cases {
        let response = send(Method::GET, path, &[(header::HOST, host)]).await;
        let headers = response.headers();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    }
}

#[tokio::test]
async fn assets_are_kept_for_good_under_an_address_of_their_content() {
    let (_, page) = open("/").await;
    let start = page.find("/assets/").expect("style sheet");
    let path: String = page[start..].chars().take_while(|letter| *letter != '"').collect();
    let response = send(Method::GET, &path, &[(header::HOST, "localhost")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()[header::CACHE_CONTROL].to_str().expect("rule").contains("immutable"));
    let outdated = send(Method::GET, "/assets/0123/style.css", &[(header::HOST, "localhost")]).await;
    assert_eq!(outdated.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pages_are_compressed_if_the_browser_accepts_it() {
    let pages = pages_with(showcase::stores(NOW, 1));
    let cookie = format!("socialize_console_3001={TOKEN}");
    let get = async |path: &str, method: Method, encoding: &str| {
        let headers =
            [(header::HOST, "localhost"), (header::COOKIE, &cookie), (header::ACCEPT_ENCODING, encoding)];
        send_to(pages.clone(), method, path, &headers).await
    };
    let (_, page) = open_at(pages.clone(), "/dashboards/api").await;
    let style: String = page[page.find("/assets/").expect("style sheet")..]
        .chars()
        .take_while(|letter| *letter != '"')
        .collect();
    for path in ["/dashboards/api", &style] {
        let plain = get(path, Method::GET, "identity").await;
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING), "{path}");
        let plain = to_bytes(plain.into_body(), 8 << 20).await.expect("body");
        let packed = get(path, Method::GET, "gzip, br").await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip", "{path}");
        assert_eq!(packed.headers()[header::VARY], "accept-encoding", "{path}");
        let packed = to_bytes(packed.into_body(), 8 << 20).await.expect("body");
        assert!(packed.len() * 3 < plain.len(), "{path}: {} of {} bytes", packed.len(), plain.len());
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).expect("gzip");
        assert_eq!(text, plain, "{path}");
    }
    // The tail is a stream, and these have no text worth it.
    for (path, method) in
        [("/logs/tail", Method::GET), ("/health/live", Method::GET), ("/dashboards/api", Method::HEAD)]
    {
        let response = get(path, method, "gzip").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING), "{path}");
    }
}

#[tokio::test]
async fn no_page_has_inline_code() {
    let (_, page) = open("/").await;
    assert!(!page.contains("style=\"") && !page.contains("onclick") && !page.contains("<style"));
}

#[tokio::test]
async fn wrong_addresses_get_a_page_that_says_what_would_be_right() {
    let cases = [
        ("/missing", StatusCode::NOT_FOUND, "/missing"),
        ("/?range=5h", StatusCode::BAD_REQUEST, "15m, 1h, 6h"),
        ("/?from=yesterday", StatusCode::BAD_REQUEST, "from=yesterday"),
        ("/?range=1h&from=0", StatusCode::BAD_REQUEST, "both"),
        ("/?refresh=1", StatusCode::BAD_REQUEST, "10, 30"),
        ("/?range=%3Cscript%3E", StatusCode::BAD_REQUEST, "&#60;script&#62;"),
    ];
    for (path, status, text) in cases {
        let (found, page) = open(path).await;
        assert_eq!(found, status, "{path}");
        assert!(page.contains(text), "{path}: {page}");
    }
}

const DASHBOARDS: [&str; 6] = ["overview", "api", "adoption", "background", "infrastructure", "telemetry"];

#[tokio::test]
async fn every_dashboard_says_why_it_is_empty() {
    for name in DASHBOARDS {
        let (status, page) = open(&format!("/dashboards/{name}")).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        assert!(page.contains("class=\"nothing\""), "{name}");
        assert!(!page.contains("style=\"") && !page.contains("NaN"), "{name}");
    }
    let (_, page) = open("/").await;
    assert!(page.contains("No process has reported yet.") && page.contains("127.0.0.1:4318"), "{page}");
    let (_, page) = open("/dashboards/infrastructure").await;
    assert!(page.contains("programs of the full overlay"), "{page}");
}

#[tokio::test]
async fn every_dashboard_shows_what_was_reported() {
    let pages = pages_with(showcase::stores(NOW, 1));
    for name in DASHBOARDS {
        for range in ["15m", "1h", "30d"] {
            let (status, page) = open_at(pages.clone(), &format!("/dashboards/{name}?range={range}")).await;
            assert_eq!(status, StatusCode::OK, "{name}");
            assert!(!page.contains("NaN") && !page.contains("style=\""), "{name}");
            let is_about_others = name == "infrastructure";
            assert!(is_about_others || page.contains("<svg"), "{name} {range}");
        }
    }
    let (_, page) = open_at(pages.clone(), "/").await;
    // The data contains failures for 15 minutes, so alerts may fire.
    assert!(page.contains("verdict") && !page.contains("No process has reported"), "{page}");
    let (_, page) = open_at(pages.clone(), "/dashboards/api?route=%2Fv1%2Fme").await;
    assert!(
        page.contains("<option value=\"/v1/me\" selected>") && !page.contains("/v1/sessions</a>"),
        "{page}"
    );
    let (status, page) = open_at(pages.clone(), "/dashboards/overview/9").await;
    assert!(status == StatusCode::OK && page.contains("<th scope=\"col\" class=\"num\">Mean</th>"), "{page}");
}

#[tokio::test]
async fn a_panel_alone_lists_the_points_of_its_chart() {
    let pages = pages_with(showcase::stores(NOW, 1));
    let mut listed = 0;
    for (_, dashboard) in monitoring::dashboards::all() {
        let name = dashboard.uid.as_str().trim_start_matches("socialize-");
        for panel in dashboard.panels().filter(|_| DASHBOARDS.contains(&name)) {
            let path = format!("/dashboards/{name}/{}?range=1h", panel.id());
            let (status, page) = open_at(pages.clone(), &path).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            let is_chart = page.contains("class=\"chart ");
            assert_eq!(page.contains("<details class=\"points\">"), is_chart, "{path}");
            assert!(page.matches("<th scope=\"row\">2026-").count() <= 576 || !is_chart, "{path}");
            listed += usize::from(is_chart);
        }
    }
    assert!(listed > 20, "{listed}");
}

#[tokio::test]
async fn single_observations_lead_to_their_traces() {
    let mut stores = showcase::stores(NOW, 1);
    let name = HTTP_SERVER_REQUEST_DURATION.description().prometheus_name();
    let all = stores.metrics.series(&name).into_iter().map(|series| stores.metrics.labels(series).clone());
    let is_seen = |labels: &Labels| {
        (labels.get("http_route"), labels.get("http_response_status_code")) == ("/v1/me", "200")
    };
    let labels = all.into_iter().find(is_seen).expect("the series of a route");
    let seen = |seconds_ago: i64, value| Exemplar {
        at: NOW - seconds_ago * 1000,
        value,
        trace_id: [0xab; 16],
        span_id: [0xcd; 8],
    };
    let exemplars = vec![seen(900, 0.25), seen(7200, 9.0)];
    stores.metrics.append_exemplars(vec![Exemplars { name: name.into(), labels, exemplars }]);
    let pages = pages_with(stores);
    let trace = "ab".repeat(16);
    let (_, page) = open_at(pages.clone(), "/dashboards/api?range=1h").await;
    let dot = format!("<a href=\"/traces/{trace}?range=1h\" aria-label=\"250 ms at ");
    assert!(page.contains(&dot), "{page}");
    assert!(!page.contains("aria-label=\"9 s at "), "an observation outside of the range");
    // Another route, or another environment, has none.
    for choice in ["route=/v1/nothing", "environment=elsewhere"] {
        let (_, page) = open_at(pages.clone(), &format!("/dashboards/api?range=1h&{choice}")).await;
        assert!(!page.contains("open its trace"), "{choice}");
    }
}

#[tokio::test]
async fn silence_is_said_first() {
    let stores = showcase::stores(NOW - 10 * 60_000, 1);
    let (_, page) = open_at(pages_with(stores), "/").await;
    assert!(page.contains("No process has reported for 10 min."), "{page}");
}

#[tokio::test]
async fn missing_dashboards_and_panels_are_named() {
    for (path, text) in [
        ("/dashboards/nothing", "overview, api"),
        ("/dashboards/api/9999", "no panel 9999"),
        ("/dashboards/api/x", "no panel x"),
    ] {
        let (status, page) = open(path).await;
        assert!(status == StatusCode::NOT_FOUND && page.contains(text), "{path}: {page}");
    }
}
