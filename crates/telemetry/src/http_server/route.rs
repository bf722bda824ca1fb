//! The parts of a route that are known before its first request: methods, statuses, attributes and
//! series.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use http::{Method, StatusCode};
use signal::builtin::{HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_DURATION};
use signal::metric::Label;
use signal::{ClosedSet, ErrorType, Level, events, instrumentation_scope};

use super::transport::{Transport, UrlScheme};
use crate::meter::{BoundUpDownCounter, Meter};
use crate::record::{Constants, Operation, OperationDescription, OutcomeDescription, SpanKind};

/// The methods that the conventions know. Any other is recorded as [`OTHER_METHOD`].
const KNOWN_METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/// Method label, as the conventions spell it, of all other methods.
const OTHER_METHOD: &str = "_OTHER";

/// First part of the name of a span whose method is not known, as the conventions spell it.
const NAME_OF_OTHER_METHODS: &str = "HTTP";

/// The 5xx outcomes that metrics distinguish. They are few, because every route has a series for
/// each.
const SERVER_ERRORS: &[(u16, ErrorType)] = &[
    (500, ErrorType::Internal),
    (500, ErrorType::Panic),
    (503, ErrorType::Unavailable),
    (503, ErrorType::Timeout),
];

/// One method of one route, with every status that it can return.
#[derive(Clone, Debug)]
pub struct RouteDescription {
    /// The HTTP method, such as `GET`.
    pub method: Method,
    /// The route template, such as `/v1/workspaces/{workspace_id}`.
    pub route: String,
    /// The documented statuses below 500.
    pub statuses: Vec<u16>,
}

/// A route and its methods, or everything that matches no route.
pub(super) struct Route {
    methods: Box<[MethodOnRoute]>,
}

/// One method of a route, with its outcomes and series.
pub(super) struct MethodOnRoute {
    /// `None` for all methods that the conventions do not know.
    method: Option<Method>,
    /// The template; `None` for requests that match no route.
    route: Option<String>,
    statuses: Arc<[u16]>,
    /// The records of each [`Transport`]. Those of the usual one exist from the start. Others are
    /// built by their first request, because most processes never see one.
    observed: [OnceLock<Arc<Observed>>; Transport::COUNT],
}

/// The records and series of a method's requests over one transport.
pub(super) struct Observed {
    pub(super) operation: Operation,
    active: BoundUpDownCounter,
    /// The documented statuses below 500.
    statuses: Arc<[u16]>,
}

/// Counts a request as active until it is dropped, and keeps the records of its kind at hand.
pub(super) struct ActiveRequest(Arc<Observed>);

impl ActiveRequest {
    #[inline]
    pub(super) fn begin(observed: &Arc<Observed>) -> Self {
        observed.active.add(1);
        Self(observed.clone())
    }
}

impl Deref for ActiveRequest {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        &self.0
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.add(-1);
    }
}

/// Positions of outcomes, in the order in which `observe` builds them.
pub(super) const CANCELLED: usize = 0;
const FIRST_SERVER_ERROR: usize = 1;
const FIRST_STATUS: usize = FIRST_SERVER_ERROR + SERVER_ERRORS.len();

impl MethodOnRoute {
    fn new(method: Option<Method>, route: Option<&str>, statuses: &[u16]) -> Self {
        let mut statuses: Vec<u16> = statuses.iter().copied().filter(|status| *status < 500).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let route = route.map(str::to_owned);
        Self { method, route, statuses: statuses.into(), observed: Default::default() }
    }

    /// Creates the series that exist from the start.
    fn created(self, meter: &Meter, usual: Transport) -> Self {
        self.observed(meter, usual);
        self
    }

    /// Returns the records of requests over a transport. The first request over it creates its
    /// series.
    #[inline]
    pub(super) fn observed(&self, meter: &Meter, transport: Transport) -> &Arc<Observed> {
        self.observed[transport.index()].get_or_init(|| Arc::new(self.observe(meter, transport)))
    }

    #[cold]
    fn observe(&self, meter: &Meter, transport: Transport) -> Observed {
        let method = self.method.as_ref().map_or(OTHER_METHOD, Method::as_str);
        let scheme = transport.scheme.as_str();
        let mut labels =
            vec![("http.request.method", method.to_owned()), (UrlScheme::KEY, scheme.to_owned())];
        labels.extend(self.route.iter().map(|route| ("http.route", route.clone())));

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
                histogram: Some(meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, series).into()),
                counter: None,
            }
        };
        let mut outcomes = vec![outcome(None, Some(ErrorType::Cancelled))];
        outcomes.extend(
            SERVER_ERRORS.iter().map(|(status, error_type)| outcome(Some(*status), Some(*error_type))),
        );
        outcomes.extend(self.statuses.iter().map(|status| outcome(Some(*status), None)));
        // An undocumented status is a defect. It must be visible, but must not create a series.
        outcomes.push(OutcomeDescription {
            level: Level::Error,
            is_error: true,
            ..outcome(None, Some(ErrorType::Internal))
        });

        let mut attributes: Constants =
            labels.into_iter().map(|(key, value)| (key, value.as_str().into())).collect();
        attributes
            .extend(transport.version.map(|version| ("network.protocol.version", version.as_str().into())));
        let name = if self.method.is_some() { method } else { NAME_OF_OTHER_METHODS };
        let active = vec![("http.request.method", method.to_owned()), (UrlScheme::KEY, scheme.to_owned())];
        Observed {
            operation: Operation::new(OperationDescription {
                event: events::SERVER_REQUEST,
                span_name: self.route.as_ref().map_or(name.to_owned(), |route| format!("{name} {route}")),
                kind: SpanKind::Server,
                scope: instrumentation_scope::HTTP_SERVER,
                attributes,
                outcomes,
            }),
            active: meter.up_down_counter_series(&HTTP_SERVER_ACTIVE_REQUESTS, active),
            statuses: self.statuses.clone(),
        }
    }
}

impl Observed {
    /// Returns the position of the outcome for a response.
    pub(super) fn outcome(&self, status: StatusCode, error_type: Option<ErrorType>) -> usize {
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

    /// Returns the position of the outcome that all undocumented statuses share.
    pub(super) fn undocumented(&self) -> usize {
        FIRST_STATUS + self.statuses.len()
    }
}

impl Route {
    /// Builds a route from its methods, which all have the same template. GET handlers serve HEAD,
    /// too. Its series begin with its first request, because few clients ever send one.
    pub(super) fn new(meter: &Meter, usual: Transport, route: &str, declared: &[RouteDescription]) -> Self {
        let is_declared = |method: &Method| declared.iter().any(|described| described.method == *method);
        let mut methods = Vec::with_capacity(declared.len() + 1);
        for RouteDescription { method, statuses, .. } in declared {
            let built = MethodOnRoute::new(Some(method.clone()), Some(route), statuses);
            methods.push(built.created(meter, usual));
            if *method == Method::GET && !is_declared(&Method::HEAD) {
                methods.push(MethodOnRoute::new(Some(Method::HEAD), Some(route), statuses));
            }
        }
        Self { methods: methods.into() }
    }

    /// Builds the entry of all requests that match no route: unknown paths, and methods that a path
    /// does not have. Methods are a closed set here, so a scanner cannot create series.
    pub(super) fn unmatched(meter: &Meter, usual: Transport, statuses: &[u16]) -> Self {
        let known = KNOWN_METHODS.iter().map(|name| Method::from_bytes(name.as_bytes()).ok());
        let methods = known
            .chain([None])
            .map(|method| MethodOnRoute::new(method, None, statuses).created(meter, usual));
        Self { methods: methods.collect() }
    }

    /// Returns the index of a method, or `None` if the route does not have it.
    pub(super) fn position(&self, method: &Method) -> Option<usize> {
        self.methods.iter().position(|known| known.method.as_ref() == Some(method))
    }

    /// Returns the index of the entry for all methods that the conventions do not list.
    pub(super) fn other_methods(&self) -> usize {
        self.methods.len() - 1
    }

    /// Returns the method at an index.
    pub(super) fn method(&self, position: usize) -> &MethodOnRoute {
        &self.methods[position]
    }
}
