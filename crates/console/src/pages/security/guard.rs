//! The checks before a page is rendered.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::pages::locked::locked_page;
use crate::state::SharedConsole;

/// Paths of the health checks. They need no token, because container runtimes call them and they reveal
/// nothing.
const HEALTH: &str = "/health/";
/// Path of style sheet, script and icon. They need no token: they contain no data, and the page about the
/// missing token uses them.
const ASSETS: &str = "/assets/";

/// Rejects foreign hosts, methods other than GET and HEAD, and requests without the token. Exchanges the
/// token of a link for a cookie.
pub(crate) async fn guard(State(console): State<SharedConsole>, request: Request, next: Next) -> Response {
    let access = console.access();
    if !access.hosts.accept(request.uri(), request.headers()) {
        let problem = "This console answers for localhost, loopback addresses, its own address and the names \
                       in SOCIALIZE_CONSOLE_HOSTS. Open it by one of them.\n";
        return (StatusCode::MISDIRECTED_REQUEST, problem).into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        let problem = "The console only reads: it accepts GET and HEAD.\n";
        return (StatusCode::METHOD_NOT_ALLOWED, allow, problem).into_response();
    }
    let path = request.uri().path();
    if path.starts_with(HEALTH) || path.starts_with(ASSETS) {
        return next.run(request).await;
    }
    if let Some(token) = token_in(request.uri()) {
        if !access.token.matches(token) {
            return locked_page(true);
        }
        return exchange(token, request.uri(), &access.cookie);
    }
    let is_known = cookies(request.headers(), &access.cookie).any(|token| access.token.matches(token));
    if is_known { next.run(request).await } else { locked_page(false) }
}

/// Stores the token in a cookie and redirects to the same address without it, so that it stays neither in the
/// address bar nor in the history.
fn exchange(token: &str, uri: &Uri, name: &str) -> Response {
    let rest: Vec<&str> = parameters(uri).filter(|pair| !pair.starts_with("token=")).collect();
    // Two slashes at the beginning would lead to another host.
    let path = format!("/{}", uri.path().trim_start_matches(['/', '\\']));
    let target = if rest.is_empty() { path } else { format!("{path}?{}", rest.join("&")) };
    let cookie = format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/");
    let (Ok(target), Ok(cookie)) = (HeaderValue::try_from(target), HeaderValue::try_from(cookie)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, target), (header::SET_COOKIE, cookie)]).into_response()
}

fn token_in(uri: &Uri) -> Option<&str> {
    parameters(uri).find_map(|pair| pair.strip_prefix("token="))
}

fn parameters(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(key, value)| (key == name).then_some(value))
}
