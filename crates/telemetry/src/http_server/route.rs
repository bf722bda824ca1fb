//! The parts of a route that are known before its first request: methods, statuses, attributes and
//! series.

use http::{Method, StatusCode};

use crate::builtin::{HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_DURATION};
use crate::log::Level;
use crate::meter::{BoundUpDownCounter, Meter};
use crate::record::{Constants, Operation, OperationDescription, OutcomeDescription, SpanKind};
use crate::{ClosedSet, ErrorType, events};

/// Route label of requests that match no route, so that a scanner cannot create series.
pub const UNMATCHED: &str = "unmatched";

/// Method label, as the conventions spell it, of methods that a route does not declare.
const OTHER_METHOD: &str = "_OTHER";

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

/// A route and the outcomes of its requests, resolved at start.
pub(super) struct Route {
    methods: Box<[MethodOnRoute]>,
    other: MethodOnRoute,
}

/// One method of a route, with its outcomes and series.
pub(super) struct MethodOnRoute {
    /// `None` for the entry of all methods that the route does not declare.
    method: Option<Method>,
    pub(super) operation: Operation,
    statuses: Box<[u16]>,
    pub(super) active: BoundUpDownCounter,
}

/// Positions of outcomes, in the order in which `new` builds them.
pub(super) const CANCELLED: usize = 0;
const FIRST_SERVER_ERROR: usize = 1;
const FIRST_STATUS: usize = FIRST_SERVER_ERROR + SERVER_ERRORS.len();

impl MethodOnRoute {
    /// Builds the outcomes of `method` on a route. Without a method, builds those of all undeclared
    /// methods.
    fn new(meter: &Meter, method: Option<&Method>, route: &str, statuses: &[u16]) -> Self {
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
                histogram: Some(meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, series)),
                counter: None,
            }
        };
        let mut outcomes = vec![outcome(None, Some(ErrorType::Cancelled))];
        outcomes.extend(
            SERVER_ERRORS.iter().map(|(status, error_type)| outcome(Some(*status), Some(*error_type))),
        );
        outcomes.extend(statuses.iter().map(|status| outcome(Some(*status), None)));
        // An undocumented status is a defect of ours: it must be visible, but must not create a
        // series.
        outcomes.push(OutcomeDescription {
            level: Level::Error,
            is_error: true,
            ..outcome(None, Some(ErrorType::Internal))
        });

        let active = vec![("http.request.method", method_label.to_owned())];
        let name = method.map_or("HTTP", Method::as_str);
        Self {
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
            active: meter.up_down_counter_series(&HTTP_SERVER_ACTIVE_REQUESTS, active),
        }
    }

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
    /// Builds a route from its methods, which all have the same template. Other methods on it get
    /// 405 and are recorded as `_OTHER`.
    pub(super) fn new(meter: &Meter, route: &str, methods: &[RouteDescription]) -> Self {
        let declared = methods
            .iter()
            .map(|described| MethodOnRoute::new(meter, Some(&described.method), route, &described.statuses));
        Self { methods: declared.collect(), other: MethodOnRoute::new(meter, None, route, &[405]) }
    }

    /// Builds the entry for all paths without a route.
    pub(super) fn unmatched(meter: &Meter, statuses: &[u16]) -> Self {
        Self { methods: Box::default(), other: MethodOnRoute::new(meter, None, UNMATCHED, statuses) }
    }

    pub(super) fn position(&self, method: &Method) -> Option<usize> {
        self.methods.iter().position(|known| known.method.as_ref() == Some(method))
    }

    /// Returns the method at an index, or the entry for all undeclared methods.
    pub(super) fn method(&self, position: Option<usize>) -> &MethodOnRoute {
        position.map_or(&self.other, |position| &self.methods[position])
    }
}
