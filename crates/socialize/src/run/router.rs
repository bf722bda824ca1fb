//! All routes and layers.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Extension, Router};
use bytes::Bytes;
use catalogue::labels::ErrorCode;
use http::{Method, header};
use telemetry::ErrorType;
use telemetry::http_server::{
    HttpServer, HttpServerService, HttpServerSettings, RouteDescription, UrlScheme,
};
use utoipa::openapi::path::{HttpMethod, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use crate::app::{App, AppSettings, BODY_LIMIT};
use crate::features::erasure::deletion;
use crate::features::{audit, auth, content, feedback, organizations, publishing, workspaces};
use crate::http::error::{Error, ErrorBody, ResponseCode, panic_response, responses};
use crate::http::health;
use crate::platform::listener::unreadable::{Unreadable, UnreadableRecorder};
use crate::platform::listener::{HEADER_BYTES, Services};

#[derive(OpenApi)]
#[openapi(
    info(title = "Socialize", description = "Teams draft social-media content and get it approved."),
    components(schemas(ErrorBody)),
    modifiers(&AccessToken)
)]
struct Document;

/// Routes of the API, with their documentation.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(auth::router())
        .merge(organizations::router())
        .merge(audit::audit_events::router())
        .merge(workspaces::router())
        .merge(content::router())
        .merge(publishing::router())
        .merge(feedback::router())
        .merge(deletion::router())
}

/// Routes that receive files, which may take longer.
fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(content::upload_router()).merge(feedback::upload_router())
}

/// Returns the OpenAPI document of all routes.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = api().merge(uploads()).into_openapi();
    for item in document.paths.paths.values_mut() {
        // `CurrentUser` limits write requests of a user on every route.
        let writing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in writing.into_iter().flatten().filter(|operation| operation.security.is_some()) {
            let responses = &mut operation.responses.responses;
            for (status, response) in responses::RateLimited::responses() {
                responses.entry(status).or_insert(response);
            }
        }
    }
    document
}

/// Descriptions of all routes for the request record.
pub fn described() -> Vec<RouteDescription> {
    describe(&document().paths)
}

/// Routes outside the document are not recorded: probes would hide users' requests.
const UNRECORDED: &[&str] =
    &["/docs", "/docs/", "/docs/{*file}", "/openapi.json", "/health", "/health/live", "/health/ready"];

/// The API and its document, with a record of each request.
pub fn service(app: App) -> HttpServerService<Router> {
    services(app).requests
}

/// Services of the public listener. The record is outermost, and the time limit is within it.
pub(crate) fn services(app: App) -> Services<HttpServerService<Router>> {
    let AppSettings { request_timeout, upload_timeout, .. } = app.settings;
    // Rendered once: it is long, and anybody may request it.
    let json = Bytes::from(document().to_json().unwrap_or_default());
    let document = ([(header::CONTENT_TYPE, "application/json")], json);
    let finish_within = |limit: Duration| middleware::from_fn_with_state((app.clone(), limit), finish);
    let routes_within = |limit, routes: OpenApiRouter<App>| {
        let router = Router::from(routes).method_not_allowed_fallback(method_not_allowed);
        router.layer(finish_within(limit))
    };
    let refusal = |refusal: MethodRouter| refusal.layer(finish_within(request_timeout));
    let requests = routes_within(request_timeout, api())
        .merge(routes_within(request_timeout + upload_timeout, uploads()))
        .merge(
            utoipa_swagger_ui::SwaggerUi::new("/docs")
                .config(utoipa_swagger_ui::Config::from("/openapi.json")),
        )
        .route("/openapi.json", get(async move || document.clone()))
        .merge(health::router())
        .fallback_service(refusal(any(not_found)))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app.clone());
    let headers_too_large = Router::new().fallback_service(refusal(any(headers_too_large)));
    let unreadable = Router::new().fallback_service(refusal(any(unreadable)));

    // Trusting a proxy's addresses does not imply trusting its traces, which determine request ids and
    // sampling.
    let trusted_peers = app.settings.trusted_trace_peers.clone();
    let settings = HttpServerSettings {
        trusted_peers,
        proxies: app.settings.trusted_peers.clone(),
        scheme_of_proxies: match app.settings.public_url.scheme() {
            "https" => UrlScheme::Https,
            _ => UrlScheme::Http,
        },
        unmatched_statuses: vec![400, 404, 405, 408, 431],
        panic_response,
    };
    let http = HttpServer::new(&app.telemetry, settings);
    Services {
        requests: http.observe(requests, &described(), UNRECORDED),
        headers_too_large: http.observe(headers_too_large, &[], &[]),
        unreadable: UnreadableRecorder::new(http.observe(unreadable, &[], &[])),
    }
}

/// Applies the time limit to a request, and counts the code of an error response.
async fn finish(State((app, limit)): State<(App, Duration)>, request: Request, next: Next) -> Response {
    let response = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::failed(ErrorType::Timeout).into_response(),
    };
    if let Some(ResponseCode(code)) = response.extensions().get() {
        app.signals.api_error(*code);
    }
    response
}

async fn not_found() -> Error {
    Error::refused(ErrorCode::NotFound, "No route has this path; /docs lists all routes.")
}

async fn headers_too_large() -> Error {
    let message = format!("The headers of a request must have at most {HEADER_BYTES} bytes together.");
    Error::refused(ErrorCode::HeadersTooLarge, message)
}

async fn unreadable(Extension(reason): Extension<Unreadable>) -> Error {
    match reason {
        Unreadable::NotHttp | Unreadable::Incomplete => Error::refused(
            ErrorCode::MalformedRequest,
            "This is not a request of HTTP/1.1 or HTTP/2. TLS ends at the proxy in front of Socialize.",
        ),
        Unreadable::HeadTooLarge => {
            let message =
                format!("The headers of a request must have at most {HEADER_BYTES} bytes together.");
            Error::refused(ErrorCode::HeadersTooLarge, message)
        }
        Unreadable::HeadTimeout => {
            Error::refused(ErrorCode::RequestTimeout, "The headers of the request took too long to arrive.")
        }
    }
}

async fn method_not_allowed() -> Error {
    Error::refused(
        ErrorCode::MethodNotAllowed,
        "This path does not support the method; the Allow header lists those that it supports.",
    )
}

/// Derives it from the OpenAPI document.
fn describe(paths: &Paths) -> Vec<RouteDescription> {
    let mut described = Vec::new();
    for (route, item) in &paths.paths {
        let operations = [
            (HttpMethod::Get, Method::GET, &item.get),
            (HttpMethod::Post, Method::POST, &item.post),
            (HttpMethod::Put, Method::PUT, &item.put),
            (HttpMethod::Patch, Method::PATCH, &item.patch),
            (HttpMethod::Delete, Method::DELETE, &item.delete),
        ];
        for (_, method, operation) in operations {
            let Some(operation) = operation else { continue };
            let statuses =
                operation.responses.responses.keys().filter_map(|status| status.parse().ok()).collect();
            described.push(RouteDescription { method, route: route.clone(), statuses });
        }
    }
    described
}

struct AccessToken;

impl utoipa::Modify for AccessToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("access_token", SecurityScheme::Http(scheme));
    }
}
