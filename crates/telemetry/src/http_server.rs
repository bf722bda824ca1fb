//! The layer that makes one record of every request: answered, refused, timed out, panicked or abandoned by its client.
//!
//! It is applied to one route at a time, so method, route and every possible outcome are resolved at start and a request
//! looks nothing up.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::attribute::Key;
use crate::builtin::{HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_DURATION, TRACEPARENT_MALFORMED};
use crate::current::{self, Scope};
use crate::log::Level;
use crate::measurement::Identity;
use crate::meter::{BoundUpDownCounter, Counter, InFlight};
use crate::operations::ERROR_CAUSE;
use crate::record::{Constants, Operation, OperationDescription, OutcomeDescription, SpanKind};
use crate::trace::{SpanContext, TraceId};
use crate::{ClosedSet, ErrorType, Telemetry, events, json};

/// The response header that carries the request id, which is the trace id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The route label of requests that match no route, so that a scanner cannot create series.
pub const UNMATCHED: &str = "unmatched";

/// The method label of methods that a route does not declare, as the conventions spell it.
const OTHER_METHOD: &str = "_OTHER";

/// A status that no document mentions; documented ones are part of their outcome.
static STATUS_CODE: Key = Key("http.response.status_code");

/// What HEAD requests carry beside the method of the GET handler that answers them.
static METHOD_ORIGINAL: Key = Key("http.request.method_original");

/// The only one of its value: HEAD is answered by the handler of GET and measured with it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Head;

impl ClosedSet for Head {
    const ALL: &'static [Self] = &[Head];

    fn as_str(self) -> &'static str {
        "HEAD"
    }

    fn index(self) -> usize {
        0
    }
}

/// The 5xx outcomes that are told apart in metrics: few, because every route has a series for each.
const SERVER_ERRORS: &[(u16, ErrorType)] = &[
    (500, ErrorType::Internal),
    (500, ErrorType::Panic),
    (503, ErrorType::Unavailable),
    (503, ErrorType::Timeout),
];

/// One method of one route, with every status that it can answer.
#[derive(Clone, Debug)]
pub struct RouteDescription {
    /// The HTTP method.
    pub method: Method,
    /// The route template, e.g. `/v1/workspaces/{workspace_id}`.
    pub route: String,
    /// The documented statuses below 500.
    pub statuses: Vec<u16>,
}

/// Makes layers for routes.
#[derive(Clone)]
pub struct HttpServer {
    telemetry: Telemetry,
    settings: Arc<HttpServerSettings>,
    malformed: Arc<Counter>,
}

/// How requests are treated.
pub struct HttpServerSettings {
    /// Peers whose `traceparent` is continued. Everybody else's begins a new trace that links to theirs: an outsider must
    /// choose neither our ids nor our sampling.
    pub trusted_peers: Vec<IpNet>,
    /// The body of the answer to a request whose handler panicked, so that it has the shape of every other error.
    pub panic_response: fn(TraceId) -> Response,
}

impl HttpServer {
    /// Prepares to observe routes.
    pub fn new(telemetry: &Telemetry, settings: HttpServerSettings) -> Self {
        let malformed = Arc::new(telemetry.meter().counter(&TRACEPARENT_MALFORMED));
        Self { telemetry: telemetry.clone(), settings: Arc::new(settings), malformed }
    }

    /// The layer for a route and all its methods; other methods on it are answered 405 and recorded as `_OTHER`.
    pub fn layer(&self, methods: &[RouteDescription]) -> HttpServerLayer {
        let route = methods.first().map_or(UNMATCHED, |first| &first.route);
        let other = self.method_on_route(None, route, &[405]);
        let methods = methods.iter().map(|described| {
            self.method_on_route(Some(&described.method), &described.route, &described.statuses)
        });
        let route = Route { methods: methods.collect(), other, server: self.clone() };
        HttpServerLayer { route: Arc::new(route) }
    }

    /// The layer for everything that matches no route, with the statuses below 500 that it can be answered with.
    pub fn unmatched_layer(&self, statuses: &[u16]) -> HttpServerLayer {
        let other = self.method_on_route(None, UNMATCHED, statuses);
        let route = Route { methods: Box::default(), other, server: self.clone() };
        HttpServerLayer { route: Arc::new(route) }
    }

    fn method_on_route(&self, method: Option<&Method>, route: &str, statuses: &[u16]) -> MethodOnRoute {
        let method_label = method.map_or(OTHER_METHOD, Method::as_str);
        let labels = vec![("http.request.method", method_label.to_owned()), ("http.route", route.to_owned())];
        let mut statuses: Vec<u16> = statuses.iter().copied().filter(|status| *status < 500).collect();
        statuses.sort_unstable();
        statuses.dedup();

        let outcome = |status: Option<u16>, error_type: Option<ErrorType>| {
            let mut series = labels.clone();
            let mut attributes = Constants::new();
            if let Some(status) = status {
                series.push(("http.response.status_code", status.to_string()));
                attributes.push(("http.response.status_code", status.into()));
            }
            if let Some(error_type) = error_type {
                series.push(("error.type", error_type.as_str().to_owned()));
                attributes.push(("error.type", error_type.as_str().into()));
            }
            OutcomeDescription {
                attributes,
                level: if status.is_some_and(|status| status >= 500) { Level::Error } else { Level::Info },
                is_error: status.is_some_and(|status| status >= 500),
                histogram: Some(
                    self.telemetry.meter().histogram_series(&HTTP_SERVER_REQUEST_DURATION, series),
                ),
                counter: None,
            }
        };
        let mut outcomes = vec![outcome(None, Some(ErrorType::Cancelled))];
        outcomes.extend(
            SERVER_ERRORS.iter().map(|(status, error_type)| outcome(Some(*status), Some(*error_type))),
        );
        outcomes.extend(statuses.iter().map(|status| outcome(Some(*status), None)));
        // A status that no document mentions is a defect of ours and must be seen, but must not create a series.
        outcomes.push(OutcomeDescription {
            level: Level::Error,
            is_error: true,
            ..outcome(None, Some(ErrorType::Internal))
        });

        let active = vec![("http.request.method", method_label.to_owned())];
        let name = method.map_or("HTTP", Method::as_str);
        MethodOnRoute {
            method: method.cloned(),
            operation: Operation::new(OperationDescription {
                event: events::SERVER_REQUEST,
                span_name: format!("{name} {route}"),
                kind: SpanKind::Server,
                attributes: vec![
                    ("http.request.method", method_label.into()),
                    ("http.route", route.into()),
                    ("url.scheme", "http".into()),
                ],
                outcomes,
            }),
            statuses: statuses.into(),
            active: self.telemetry.meter().up_down_counter_series(&HTTP_SERVER_ACTIVE_REQUESTS, active),
        }
    }
}

struct Route {
    methods: Box<[MethodOnRoute]>,
    other: MethodOnRoute,
    server: HttpServer,
}

struct MethodOnRoute {
    /// `None` stands for every method that the route does not declare.
    method: Option<Method>,
    operation: Operation,
    statuses: Box<[u16]>,
    active: BoundUpDownCounter,
}

/// Outcome positions, as `method_on_route` lays them out.
const CANCELLED: usize = 0;
const FIRST_SERVER_ERROR: usize = 1;
const FIRST_STATUS: usize = FIRST_SERVER_ERROR + SERVER_ERRORS.len();

impl MethodOnRoute {
    /// The position of the outcome that a response is.
    fn outcome(&self, status: StatusCode, error_type: Option<ErrorType>) -> usize {
        let status = status.as_u16();
        if status < 500 {
            let documented = self.statuses.iter().position(|known| *known == status);
            return documented.map_or(self.undocumented(), |position| FIRST_STATUS + position);
        }
        let exact = |(s, e): &(u16, ErrorType)| *s == status && Some(*e) == error_type;
        let of_status = |(s, _): &(u16, ErrorType)| *s == status;
        let known = SERVER_ERRORS.iter().position(exact).or_else(|| SERVER_ERRORS.iter().position(of_status));
        known.map_or(self.undocumented(), |position| FIRST_SERVER_ERROR + position)
    }

    /// The position of the outcome of every status that no document mentions.
    fn undocumented(&self) -> usize {
        FIRST_STATUS + self.statuses.len()
    }
}

impl Route {
    fn position(&self, method: &Method) -> Option<usize> {
        self.methods.iter().position(|known| known.method.as_ref() == Some(method))
    }

    /// The method at a position, or what stands for every undeclared one.
    fn method(&self, position: Option<usize>) -> &MethodOnRoute {
        position.map_or(&self.other, |position| &self.methods[position])
    }

    /// Who the request's span is: a child of a trusted caller's, or a new trace.
    fn identify<B>(&self, request: &http::Request<B>) -> Identity {
        let telemetry = &self.server.telemetry;
        let mut headers = request.headers().get_all(TRACEPARENT).iter();
        let Some(header) = headers.next() else {
            return Identity::begin(telemetry, None, None);
        };
        // Nobody knows which of several is meant.
        let is_only = headers.next().is_none();
        let Some(caller) = SpanContext::from_traceparent(header.as_bytes()).ok().filter(|_| is_only) else {
            self.server.malformed.add((), 1);
            return Identity::begin(telemetry, None, None);
        };
        if !self.server.settings.trusts(request) {
            return Identity::begin(telemetry, None, Some(caller));
        }
        let sampled = telemetry.sampler().decide(caller.trace_id, Some(caller.sampled));
        Identity::begin(telemetry, Some(SpanContext { sampled, ..caller }), None)
    }
}

impl HttpServerSettings {
    fn trusts<B>(&self, request: &http::Request<B>) -> bool {
        let peer =
            request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        peer.is_some_and(|peer| self.trusted_peers.iter().any(|network| network.contains(&peer)))
    }
}

/// Observes the requests of one route.
#[derive(Clone)]
pub struct HttpServerLayer {
    route: Arc<Route>,
}

impl<S> Layer<S> for HttpServerLayer {
    type Service = HttpServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpServerService { route: self.route.clone(), inner }
    }
}

/// See [`HttpServerLayer`].
#[derive(Clone)]
pub struct HttpServerService<S> {
    route: Arc<Route>,
    inner: S,
}

impl<S> Service<Request> for HttpServerService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ObservedResponse<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let identity = self.route.identify(&request);
        let mut scope = Scope::begin(identity.context);
        let mut method = self.route.position(request.method());
        if method.is_none() && request.method() == Method::HEAD {
            method = self.route.position(&Method::GET);
            scope.attributes.name(&METHOD_ORIGINAL, Head);
        }
        let mut pending = PendingRequest {
            _active: self.route.method(method).active.enter(),
            route: self.route.clone(),
            method,
            identity,
            scope: Some(scope),
            answered: false,
        };
        // The inner service may begin its work when it is called, not only when it is polled.
        let inner = current::within(&mut pending.scope, || self.inner.call(request));
        ObservedResponse { inner: AssertUnwindSafe(inner).catch_unwind(), pending }
    }
}

pin_project! {
    /// The response of an observed request.
    pub struct ObservedResponse<F> {
        #[pin]
        inner: CatchUnwind<AssertUnwindSafe<F>>,
        pending: PendingRequest,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for ObservedResponse<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = current::within(&mut this.pending.scope, || inner.poll(context));
        polled.map(|result| {
            let response = match result {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_panic) => this.pending.panicked(),
            };
            Ok(this.pending.answer(response))
        })
    }
}

/// A request without an answer. Dropped before it has one, it was abandoned by its client.
struct PendingRequest {
    route: Arc<Route>,
    /// The position in [`Route::methods`]; `None` for undeclared methods.
    method: Option<usize>,
    identity: Identity,
    scope: Option<Box<Scope>>,
    answered: bool,
    _active: InFlight,
}

impl PendingRequest {
    fn panicked(&mut self) -> Response {
        if let Some(scope) = &mut self.scope {
            scope.error_type = Some(ErrorType::Panic);
        }
        (self.route.server.settings.panic_response)(self.identity.context.trace_id)
    }

    fn answer(&mut self, mut response: Response) -> Response {
        self.answered = true;
        let error_type = self.scope.as_ref().and_then(|scope| scope.error_type);
        let method = self.route.method(self.method);
        let outcome = method.outcome(response.status(), error_type);
        if outcome == method.undocumented()
            && let Some(scope) = &mut self.scope
        {
            scope.attributes.number(&STATUS_CODE, u64::from(response.status().as_u16()));
        }
        if response.status().is_server_error()
            && let (Some(scope), Some(cause)) = (&mut self.scope, error_type)
        {
            scope.attributes.name(&ERROR_CAUSE, cause);
        }
        self.finish(outcome);
        response.headers_mut().insert(REQUEST_ID, request_id_value(self.identity.context.trace_id));
        response
    }

    fn finish(&mut self, outcome: usize) {
        let Some(mut scope) = self.scope.take() else { return };
        let attributes = scope.complete();
        let record = self.identity.record(&self.route.method(self.method).operation, outcome, attributes);
        self.route.server.telemetry.finish(&record);
        scope.end();
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if !self.answered {
            self.finish(CANCELLED);
        }
    }
}

fn request_id_value(trace_id: TraceId) -> HeaderValue {
    let mut digits = [0; 32];
    json::write_hex(&mut digits, &trace_id.0);
    // Hexadecimal digits are always a valid header value.
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static(""))
}
