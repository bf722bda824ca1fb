//! The private operations listener: detailed health, metrics, log level, build. It is bound to loopback
//! unless configured otherwise, and users must never reach it.
//!
//! It has a thread and a runtime of its own, so it responds even if the runtime that serves users hangs.
//!
//! It accepts only requests for one of its own host names: otherwise a page in the operator's browser could
//! reach it through a name that resolves to loopback (DNS rebinding).
//!
//! - `GET /health/live`, `GET /health/ready`, `GET /health`: health; the last one lists every dependency,
//!   what the database lacks, and the state of the schema; all fail while the other runtime hangs
//! - `GET /metrics`: every instrument that counted something, in the Prometheus text format; compressed
//!   on request
//! - `GET /log-level`, `PUT /log-level`: the log filter, such as `debug` or `info,sqlx=debug`; effective at
//!   once
//! - `GET /build`: version and commit

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use telemetry::log::LevelSetting;
use telemetry::prometheus;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::App;
use crate::http::health::{live, ready};
use crate::platform::listener::unreadable::UnreadableRecorder;
use crate::platform::listener::{End, Services, Shares, accept};
use crate::platform::version::{COMMIT, VERSION};

/// Maximum time for the listener to shut down.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Serves on a thread of its own until the sender of `ended` is dropped.
///
/// # Errors
/// Returns an error if the thread or its runtime cannot be created.
pub(crate) fn listen(
    listener: TcpListener,
    app: App,
    hosts: OwnHosts,
    ended: watch::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener.into_std()?)?
    };
    thread::Builder::new().name("operations".to_owned()).spawn(move || {
        let end = End { announced: ended.clone(), closed: ended };
        runtime.block_on(accept(listener, services(app, hosts), Shares::unlimited(), end, END_LIMIT));
    })
}

/// Maximum time for a body to arrive. Only one route takes a body, and a short one.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a body.
const BODY_BYTES: usize = 4 << 10;

/// Host names accepted by this listener, on any port: a port published from a container differs.
#[derive(Clone)]
pub(crate) struct OwnHosts {
    bound: IpAddr,
    names: Arc<[String]>,
}

impl OwnHosts {
    /// Host names of a listener bound to `address`, and the configured `names`.
    pub(crate) fn new(address: SocketAddr, names: &[String]) -> Self {
        Self { bound: address.ip(), names: names.into() }
    }

    fn have(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let has_user = authority.as_str().contains('@');
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_own = match address {
            Ok(address) => address.to_canonical().is_loopback() || address == self.bound,
            Err(_) => host == "localhost" || self.names.iter().any(|name| name == host),
        };
        is_own && !has_user
    }
}

/// Rejects requests for any other host, and those with no or several host names.
async fn require_own_host(State(hosts): State<OwnHosts>, request: Request, next: Next) -> Response {
    let mut named = request.headers().get_all(header::HOST).iter();
    let is_own = match (request.uri().authority(), named.next(), named.next()) {
        // HTTP/2 has no `Host` header, and a proxy's request line has both.
        (Some(authority), host, None) => {
            hosts.have(authority.as_str())
                && host.is_none_or(|host| host.to_str().is_ok_and(|host| hosts.have(host)))
        }
        (None, Some(host), None) => host.to_str().is_ok_and(|host| hosts.have(host)),
        _ => false,
    };
    if is_own {
        return next.run(request).await;
    }
    let problem = "This listener answers for localhost, loopback addresses, its own address and \
                   SOCIALIZE_OPERATIONS_HOSTS.\n";
    (StatusCode::MISDIRECTED_REQUEST, problem).into_response()
}

fn services(app: App, hosts: OwnHosts) -> Services<Router> {
    let requests = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health", get(detail))
        .route("/metrics", get(metrics))
        .route("/log-level", get(read_level).put(set_level))
        .route("/build", get(build))
        .layer(from_fn_with_state(hosts, require_own_host))
        .with_state(app);
    Services {
        requests,
        headers_too_large: Router::new().fallback(async || StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        unreadable: UnreadableRecorder::disabled(),
    }
}

async fn detail(State(app): State<App>) -> Response {
    let status = if app.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let detail = json!({
        "version": VERSION,
        "health": app.health.detail(),
        "missing": app.requirements.missing(),
        "schema": app.schema.finding(),
    });
    (status, Json(detail)).into_response()
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let text = prometheus::render(&app.telemetry.meter().snapshot());
    let described = [(header::CONTENT_TYPE, prometheus::CONTENT_TYPE), (header::VARY, "accept-encoding")];
    if accepts_gzip(&headers) {
        return (described, [(header::CONTENT_ENCODING, "gzip")], prometheus::compress(&text))
            .into_response();
    }
    (described, text).into_response()
}

/// Returns whether the client accepts gzip: by name or by `*`, with a weight above zero.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3>
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<(String, bool)> = values
        .flat_map(|value| value.split(','))
        .map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.trim().strip_prefix("q=").or(parameters.trim().strip_prefix("Q="));
            let is_zero = weight.is_some_and(|weight| weight.trim().parse::<f64>().is_ok_and(|q| q <= 0.0));
            (name.trim().to_ascii_lowercase(), !is_zero)
        })
        .collect();
    let said = |name: &str| codings.iter().find(|(coding, _)| coding == name).map(|(_, accepted)| *accepted);
    said("gzip").or_else(|| said("x-gzip")).or_else(|| said("*")).unwrap_or(false)
}

async fn read_level(State(app): State<App>) -> String {
    format!("{}\n", app.telemetry.levels().setting())
}

async fn set_level(State(app): State<App>, request: Request) -> Response {
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(request.into_body(), BODY_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "The log level is too long.\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.\n").into_response(),
    };
    match String::from_utf8_lossy(&body).trim().parse::<LevelSetting>() {
        Ok(setting) => {
            app.telemetry.change_levels(setting);
            read_level(State(app)).await.into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
    }
}

async fn build() -> Response {
    Json(json!({"version": VERSION, "commit": COMMIT})).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_compressed_for_those_who_ask_for_it() {
        let table: [(&[&str], bool); 16] = [
            (&[], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZip"], true),
            (&["x-gzip"], true),
            (&["deflate, gzip;q=1.0, *;q=0.5"], true),
            (&["br", "gzip"], true),
            (&["*"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000"], false),
            (&["gzip;q=0, *"], false),
            (&["*;q=0"], false),
            (&["identity"], false),
            (&["br, zstd"], false),
            (&["gzipped"], false),
            (&["gzip;q=0.001"], true),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT_ENCODING, value.parse().expect("a value"));
            }
            assert_eq!(accepts_gzip(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn a_listener_knows_its_own_hosts() {
        let names = ["api".to_owned(), "socialize.internal".to_owned()];
        let hosts = OwnHosts::new(SocketAddr::from(([10, 0, 0, 7], 9464)), &names);
        for own in [
            "localhost",
            "LOCALHOST:9464",
            "localhost.:1",
            "127.0.0.1",
            "127.0.0.1:9999",
            "127.8.9.10:80",
            "[::1]:9464",
            "[::1]",
            "[::ffff:127.0.0.1]:80",
            "10.0.0.7:9464",
            "10.0.0.7",
            "api:9464",
            "API",
            "socialize.internal",
        ] {
            assert!(hosts.have(own), "{own}");
        }
        for foreign in [
            "",
            ":9464",
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.8:9464",
            "0.0.0.0:9464",
            "[::]:9464",
            "api.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "localhost:9464/",
            "127.0.0.1 ",
            "2130706433",
            "0x7f000001",
            "socialize.example",
        ] {
            assert!(!hosts.have(foreign), "{foreign}");
        }
    }
}
