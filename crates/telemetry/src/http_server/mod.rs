//! A service that makes one record of every request: answered, rejected, timed out, panicked or
//! abandoned by its client.
//!
//! It wraps the router and matches the path itself, with the router's own matcher. A layer on each
//! route would need no second match, but axum boxes such layers for every request, which costs
//! more. Method, route and every possible outcome are resolved at start.

mod route;
mod transport;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use http::{HeaderName, HeaderValue, Request, Version};
use ipnet::IpNet;
use pin_project_lite::pin_project;
use signal::builtin::TRACEPARENT_MALFORMED;
use signal::{ErrorType, Key};
use tower::Service;

pub use self::route::RouteDescription;
use self::route::{ActiveRequest, CANCELLED, Route};
use self::transport::Transport;
pub use self::transport::UrlScheme;
use crate::current::{self, Scope};
use crate::identity::Identity;
use crate::meter::Counter;
use crate::operations::ERROR_CAUSE;
use crate::trace::{SpanContext, TraceId};
use crate::trace_state::TraceState;
use crate::{Telemetry, json};

/// The response header that carries the request id, which is the trace id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The response status, where the route does not document it. Documented statuses are part of their
/// outcome.
static STATUS_CODE: Key = Key("http.response.status_code");

/// Marks, as an extension, a response whose client has probably gone: its request is recorded as
/// cancelled, as if it had been dropped without a response.
#[derive(Clone, Copy)]
pub struct Abandoned;

/// Wraps routers so that their requests are recorded.
#[derive(Clone)]
pub struct HttpServer {
    telemetry: Telemetry,
    settings: Arc<HttpServerSettings>,
    malformed: Arc<Counter>,
}

/// Trusted peers and special responses of the HTTP service.
pub struct HttpServerSettings {
    /// Peers whose `traceparent` is continued. Others start a new trace with a link to theirs, because an
    /// outsider must choose neither request ids nor sampling.
    pub trusted_peers: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-Proto` or `Forwarded` names the scheme of a request. The scheme of
    /// all others is `http`, because connections are not encrypted.
    pub proxies: Vec<IpNet>,
    /// The scheme of a request from one of the proxies that names none.
    pub scheme_of_proxies: UrlScheme,
    /// Statuses below 500 of responses to requests that match no route, or not with their method.
    pub unmatched_statuses: Vec<u16>,
    /// Creates the response to a request whose handler panicked, so that its body has the shape of
    /// every other error.
    pub panic_response: fn(TraceId) -> Response,
}

impl HttpServer {
    /// Creates the service's settings and metrics.
    pub fn new(telemetry: &Telemetry, settings: HttpServerSettings) -> Self {
        let malformed = Arc::new(telemetry.meter().counter(&TRACEPARENT_MALFORMED));
        Self { telemetry: telemetry.clone(), settings: Arc::new(settings), malformed }
    }

    /// Wraps a router with these routes. The router's handlers must begin when they are polled, not
    /// when they are called. Requests to `unrecorded` route templates are not recorded.
    ///
    /// # Panics
    /// Panics if a template is malformed or if two of them conflict; the router itself rejects both
    /// as well.
    pub fn observe<S>(
        &self,
        router: S,
        described: &[RouteDescription],
        unrecorded: &[&str],
    ) -> HttpServerService<S> {
        let meter = self.telemetry.meter();
        let mut templates = matchit::Router::new();
        let mut add = |template: &str, position: Option<usize>| {
            let added = templates.insert(template, position);
            added.unwrap_or_else(|error| panic!("the route {template} cannot be added: {error}"));
        };
        let usual = self.settings.usual_transport();
        let mut routes = vec![Route::unmatched(meter, usual, &self.settings.unmatched_statuses)];
        for methods in described.chunk_by(|one, next| one.route == next.route) {
            let template = &methods[0].route;
            add(template, Some(routes.len()));
            routes.push(Route::new(meter, usual, template, methods));
        }
        for template in unrecorded {
            add(template, None);
        }
        let routes = Arc::new(Routes { templates, routes, server: self.clone() });
        HttpServerService { routes, inner: router }
    }
}

/// Every route of a router, and the matcher that finds them.
struct Routes {
    /// Indexes into `routes`; `None` for routes that are not recorded.
    templates: matchit::Router<Option<usize>>,
    routes: Vec<Route>,
    server: HttpServer,
}

/// Index in [`Routes::routes`] of the entry for all requests that match no route.
const UNMATCHED_ROUTE: usize = 0;

impl Routes {
    /// Returns the index of a path's route, or `None` if its requests are not recorded.
    fn position(&self, path: &str) -> Option<usize> {
        self.templates.at(path).map_or(Some(UNMATCHED_ROUTE), |matched| *matched.value)
    }

    /// Begins the request's span: a child of a trusted caller's span, or the root of a new trace.
    ///
    /// Only a trusted caller's `tracestate` is kept: its text would be recorded.
    fn identify<B>(&self, request: &Request<B>) -> (Identity, Option<TraceState>) {
        let telemetry = &self.server.telemetry;
        let mut headers = request.headers().get_all(TRACEPARENT).iter();
        let Some(header) = headers.next() else {
            return (Identity::begin(telemetry, None, None), None);
        };
        // With several headers it is unclear which one is meant.
        let is_only = headers.next().is_none();
        let Some(caller) = SpanContext::from_traceparent(header.as_bytes()).ok().filter(|_| is_only) else {
            self.server.malformed.add((), 1);
            return (Identity::begin(telemetry, None, None), None);
        };
        if !self.server.settings.trusts(request) {
            return (Identity::begin(telemetry, None, Some(caller)), None);
        }
        let sampled = telemetry.sampler().decide(caller.trace_id, Some(caller.sampled));
        let identity = Identity::begin(telemetry, Some(SpanContext { sampled, ..caller }), None);
        let states = request.headers().get_all(TRACESTATE).iter().map(HeaderValue::as_bytes);
        // A malformed one is dropped, and the trace is continued all the same.
        (identity, TraceState::parse(states).unwrap_or_default())
    }
}

impl HttpServerSettings {
    fn trusts<B>(&self, request: &Request<B>) -> bool {
        is_from(&self.trusted_peers, request)
    }

    /// Returns the scheme and version of a request.
    fn transport<B>(&self, request: &Request<B>) -> Transport {
        let scheme = if self.proxies.is_empty() || !is_from(&self.proxies, request) {
            UrlScheme::Http
        } else {
            UrlScheme::forwarded(request.headers()).unwrap_or(self.scheme_of_proxies)
        };
        Transport::new(scheme, request.version())
    }

    /// Returns the transport whose series exist from the start.
    fn usual_transport(&self) -> Transport {
        let scheme = if self.proxies.is_empty() { UrlScheme::Http } else { self.scheme_of_proxies };
        Transport::new(scheme, Version::HTTP_11)
    }
}

/// Returns whether the peer of a request belongs to one of the networks.
fn is_from<B>(networks: &[IpNet], request: &Request<B>) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    peer.is_some_and(|peer| networks.iter().any(|network| network.contains(&peer)))
}

/// A router whose requests are recorded.
#[derive(Clone)]
pub struct HttpServerService<S> {
    routes: Arc<Routes>,
    inner: S,
}

impl<S, B> Service<Request<B>> for HttpServerService<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ObservedResponse<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let pending = PendingRequest::begin(&self.routes, &request);
        ObservedResponse { inner: AssertUnwindSafe(self.inner.call(request)).catch_unwind(), pending }
    }
}

pin_project! {
    /// The response of an observed router.
    pub struct ObservedResponse<F> {
        #[pin]
        inner: CatchUnwind<AssertUnwindSafe<F>>,
        // `None` if the request is not recorded.
        pending: Option<PendingRequest>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for ObservedResponse<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let Some(pending) = this.pending else {
            return inner.poll(context).map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)));
        };
        let polled = current::within(&mut pending.scope, || inner.poll(context));
        polled.map(|result| {
            let mut response = match result {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_panic) => pending.panicked(),
            };
            pending.responded(&mut response);
            Ok(response)
        })
    }
}

/// A request without a response yet. If it is dropped in this state, its client abandoned it.
///
/// It is part of the response's future, which is moved several times, so everything large is in the
/// scope.
struct PendingRequest {
    routes: Arc<Routes>,
    active: ActiveRequest,
    /// Taken when the record is made.
    scope: Option<Box<Scope>>,
}

impl PendingRequest {
    /// Begins the record of a request, or returns `None` if the route is not recorded.
    fn begin<B>(routes: &Arc<Routes>, request: &Request<B>) -> Option<Self> {
        let mut route = routes.position(request.uri().path())?;
        let mut method = routes.routes[route].position(request.method());
        if method.is_none() {
            // A path that lacks the method is not the request's route: the response is 405.
            route = UNMATCHED_ROUTE;
            method = routes.routes[route].position(request.method());
        }
        let method = method.unwrap_or_else(|| routes.routes[route].other_methods());
        let transport = routes.server.settings.transport(request);
        let observed =
            routes.routes[route].method(method).observed(routes.server.telemetry.meter(), transport);
        let (identity, trace_state) = routes.identify(request);
        let scope = Scope::begin(identity, trace_state);
        Some(Self { routes: routes.clone(), active: ActiveRequest::begin(observed), scope: Some(scope) })
    }

    fn panicked(&mut self) -> Response {
        let trace_id = self.scope.as_mut().map_or(TraceId([0; 16]), |scope| {
            scope.error_type = Some(ErrorType::Panic);
            scope.identity.context.trace_id
        });
        (self.routes.server.settings.panic_response)(trace_id)
    }

    fn responded(&mut self, response: &mut Response) {
        let Some(mut scope) = self.scope.take() else { return };
        let was_abandoned = response.extensions().get::<Abandoned>().is_some();
        let outcome =
            if was_abandoned { CANCELLED } else { self.active.outcome(response.status(), scope.error_type) };
        if outcome == self.active.undocumented() {
            scope.attributes.number(&STATUS_CODE, u64::from(response.status().as_u16()));
        }
        if response.status().is_server_error()
            && let Some(cause) = scope.error_type
        {
            scope.attributes.name(&ERROR_CAUSE, cause);
        }
        response.headers_mut().insert(REQUEST_ID, request_id_value(scope.identity.context.trace_id));
        self.finish(scope, outcome);
    }

    fn finish(&self, mut scope: Box<Scope>, outcome: usize) {
        let record = scope.record(&self.active.operation, outcome);
        self.routes.server.telemetry.finish(&record);
        scope.end();
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if let Some(scope) = self.scope.take() {
            self.finish(scope, CANCELLED);
        }
    }
}

/// Bytes of request ids that are allocated at once.
const REQUEST_IDS: usize = 4096;

thread_local! {
    static REQUEST_ID_ROOM: RefCell<BytesMut> = RefCell::default();
}

/// Returns the value of the header: a slice of an allocation that it shares with the ids before and
/// after it.
fn request_id_value(trace_id: TraceId) -> HeaderValue {
    let mut digits = [0; 32];
    json::write_hex(&mut digits, &trace_id.0);
    let piece = REQUEST_ID_ROOM.try_with(|room| {
        let mut room = room.borrow_mut();
        if room.capacity() < digits.len() {
            *room = BytesMut::with_capacity(REQUEST_IDS);
        }
        room.extend_from_slice(&digits);
        room.split().freeze()
    });
    // A thread that is ending has no shared allocation any more.
    let piece = piece.unwrap_or_else(|_| Bytes::copy_from_slice(&digits));
    // Hexadecimal digits are always a valid header value.
    HeaderValue::from_maybe_shared(piece).unwrap_or(HeaderValue::from_static(""))
}
