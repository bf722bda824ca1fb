//! Every route and layer on one screen.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use domain::labels::ErrorCode;
use http::Method;
use telemetry::ErrorType;
use telemetry::http_server::{HttpServer, HttpServerSettings, RouteDescription};
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::app::{App, AppSettings, BODY_LIMIT};
use crate::error::{AnsweredCode, Error, ErrorBody, panic_response};
use crate::listener::{HEADER_BYTES, Routers};
use crate::routes;

#[derive(OpenApi)]
#[openapi(
    info(title = "Socialize", description = "Teams draft social-media content and get it approved."),
    components(schemas(ErrorBody)),
    modifiers(&AccessToken)
)]
struct Document;

/// Every route of the API with its document.
fn api(observe: &Observe) -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(routes::auth::router(observe))
        .merge(routes::me::router(observe))
        .merge(routes::organizations::router(observe))
        .merge(routes::organization_members::router(observe))
        .merge(routes::workspaces::router(observe))
        .merge(routes::workspace_members::router(observe))
        .merge(routes::workspace_invites::router(observe))
        .merge(routes::content_items::router(observe))
        .merge(routes::publishing_endpoint::router(observe))
        .merge(routes::comments::router(observe))
        .merge(routes::feedback::router(observe))
        .merge(routes::screenshots::router(observe))
}

/// The API and its document.
pub fn router(app: App) -> Router {
    routers(app).requests
}

/// The public listener.
pub(crate) fn routers(app: App) -> Routers {
    let observe = Observe::new(&app);
    let (router, document) = api(&observe).split_for_parts();
    let requests = router
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").url("/openapi.json", document))
        .merge(routes::health::router())
        .fallback_service(observe.unmatched(any(not_found)).with_state(app.clone()))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app.clone());
    let headers_too_large = observe.unmatched(any(headers_too_large)).with_state(app);
    Routers { requests, headers_too_large: Router::new().fallback_service(headers_too_large) }
}

/// The OpenAPI document of all routes.
pub fn document() -> utoipa::openapi::OpenApi {
    api(&Observe { app: None }).split_for_parts().1
}

/// Puts the layers around a route: outermost the record, within it the time limit.
pub struct Observe {
    /// `None` where only the document is wanted.
    app: Option<(HttpServer, App)>,
}

impl Observe {
    fn new(app: &App) -> Self {
        let trusted_peers = app.settings.trusted_peers.clone();
        let http = HttpServer::new(&app.telemetry, HttpServerSettings { trusted_peers, panic_response });
        Self { app: Some((http, app.clone())) }
    }

    /// A route whose possible answers are those that its documentation lists.
    pub fn routes(&self, routes: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
        self.routes_within(|settings| settings.request_timeout, routes)
    }

    /// The same for a route on which files arrive, which may take longer.
    pub fn upload_routes(&self, routes: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
        self.routes_within(|settings| settings.request_timeout + settings.upload_timeout, routes)
    }

    fn routes_within(
        &self,
        limit: fn(&AppSettings) -> Duration,
        (schemas, paths, methods): UtoipaMethodRouter<App>,
    ) -> UtoipaMethodRouter<App> {
        let Some((http, app)) = &self.app else { return (schemas, paths, methods) };
        let finishing = (app.clone(), limit(&app.settings));
        let methods = methods
            .fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(finishing, finish))
            .layer(http.layer(&describe(&paths)));
        (schemas, paths, methods)
    }

    /// Everything that matches no route or is not even looked at, recorded as one.
    fn unmatched(&self, refusal: MethodRouter<App>) -> MethodRouter<App> {
        let Some((http, app)) = &self.app else { return refusal };
        let finishing = (app.clone(), app.settings.request_timeout);
        refusal
            .layer(middleware::from_fn_with_state(finishing, finish))
            .layer(http.unmatched_layer(&[404, 431]))
    }
}

/// Ends a request that takes too long, and counts the code of an error answer.
async fn finish(State((app, limit)): State<(App, Duration)>, request: Request, next: Next) -> Response {
    let response = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::failed(ErrorType::Timeout).into_response(),
    };
    if let Some(AnsweredCode(code)) = response.extensions().get() {
        app.signals.api_error(*code);
    }
    response
}

async fn not_found() -> Error {
    Error::refused(ErrorCode::NotFound, "There is nothing at this path; /docs lists every route.")
}

async fn headers_too_large() -> Error {
    let message = format!("The headers of a request must have at most {HEADER_BYTES} bytes together.");
    Error::refused(ErrorCode::HeadersTooLarge, message)
}

async fn method_not_allowed() -> Error {
    Error::refused(
        ErrorCode::MethodNotAllowed,
        "This path does not know the method; the Allow header lists those it does.",
    )
}

/// What the layer needs to know of a route, read from its documentation.
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
