//! Telemetry of outgoing HTTP calls: one record per call, and the trace context sent with it.
//!
//! This module sends nothing. The caller begins a [`Call`], sends its context to the peer and
//! reports how it ended. A record names the kind of the peer and never its address, which may
//! belong to a customer.

use std::marker::PhantomData;
use std::sync::LazyLock;

use http::StatusCode;
use signal::builtin::HTTP_CLIENT_REQUEST_DURATION;
use signal::metric::Label;
use signal::{ClosedSet, ErrorType, Key, Level, events, instrumentation_scope};

use crate::Telemetry;
use crate::attribute::Attributes;
use crate::measurement::Measurement;
use crate::operations::ERROR_CAUSE;
use crate::record::{Constants, Operation, OperationDescription, OutcomeDescription, SpanKind};
use crate::trace::SpanContext;
use crate::trace_state::TraceState;

static STATUS_CODE: Key = Key("http.response.status_code");

/// Outcomes of responses whose status nobody has registered: their class decides. The status is in
/// line and span only, because peers could invent hundreds of them.
const UNREGISTERED: &[Option<ErrorType>] =
    &[None, Some(ErrorType::Protocol), Some(ErrorType::Rejected), Some(ErrorType::Unavailable)];

/// Reasons for getting no response. Others are recorded as `internal`, with their cause in line and
/// span.
const FAILURES: &[ErrorType] = &[
    ErrorType::Cancelled,
    ErrorType::Timeout,
    ErrorType::ConnectionRefused,
    ErrorType::ConnectionReset,
    ErrorType::DnsFailure,
    ErrorType::TlsFailure,
    ErrorType::Protocol,
    ErrorType::Unavailable,
    ErrorType::ForbiddenAddress,
    ErrorType::Internal,
];

/// Records outgoing calls to peers of the kinds `P`.
pub struct HttpClient<P> {
    telemetry: Telemetry,
    operations: Box<[Operation]>,
    peers: PhantomData<fn(P)>,
}

impl<P: Label> HttpClient<P> {
    /// Creates all series of calls with this method.
    pub fn new(telemetry: &Telemetry, method: &'static str) -> Self {
        let operation = |peer: &P| {
            let common = vec![("http.request.method", method.to_owned()), (P::KEY, peer.as_str().to_owned())];
            let outcome = |status: Option<u16>, error_type: Option<ErrorType>| {
                let mut series = common.clone();
                let mut attributes = Constants::new();
                if let Some(status) = status {
                    series.push((STATUS_CODE.0, status.to_string()));
                    attributes.push((STATUS_CODE.0, status.into()));
                }
                if let Some(error_type) = error_type {
                    series.push(("error.type", error_type.as_str().to_owned()));
                    attributes.push(("error.type", error_type.as_str().into()));
                }
                OutcomeDescription {
                    attributes,
                    level: if error_type.is_none() { Level::Info } else { Level::Warn },
                    is_error: error_type.is_some(),
                    histogram: Some(
                        telemetry.meter().histogram_series(&HTTP_CLIENT_REQUEST_DURATION, series).into(),
                    ),
                    counter: None,
                }
            };
            let registered = REGISTERED.iter().map(|&status| outcome(Some(status), failure_of(status)));
            let unregistered = UNREGISTERED.iter().map(|error_type| outcome(None, *error_type));
            let failures = FAILURES.iter().map(|error_type| outcome(None, Some(*error_type)));
            Operation::new(OperationDescription {
                event: events::CLIENT_REQUEST,
                span_name: format!("{method} {}", peer.as_str()),
                kind: SpanKind::Client,
                scope: instrumentation_scope::HTTP_CLIENT,
                attributes: common.iter().map(|(key, value)| (*key, value.as_str().into())).collect(),
                outcomes: registered.chain(unregistered).chain(failures).collect(),
            })
        };
        let operations = P::ALL.iter().map(operation).collect();
        Self { telemetry: telemetry.clone(), operations, peers: PhantomData }
    }

    /// Begins a call as a child of the current operation. Dropping it records the call as
    /// cancelled.
    pub fn begin(&self, peer: P) -> Call<'_> {
        let cancelled = failure_position(ErrorType::Cancelled).unwrap_or_default();
        Call { measurement: Measurement::begin(&self.telemetry, &self.operations[peer.index()], cancelled) }
    }
}

/// An outgoing call in flight.
pub struct Call<'a> {
    measurement: Measurement<'a>,
}

impl Call<'_> {
    /// Returns the context of the call's span, to be sent to the peer.
    pub fn context(&self) -> SpanContext {
        self.measurement.context()
    }

    /// Returns the `tracestate` to be sent with the context, if the trace has one.
    pub fn trace_state(&self) -> Option<&TraceState> {
        self.measurement.trace_state()
    }

    /// Adds ids to the record.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Attributes)) {
        self.measurement.describe(describe);
    }

    /// Ends the call with the status of the peer's response. Returns the error type if the status
    /// is a failure.
    pub fn responded(mut self, status: u16) -> Option<ErrorType> {
        if !(200..600).contains(&status) {
            // HTTP clients return no other classes to their caller.
            self.failed(ErrorType::Protocol);
            return Some(ErrorType::Protocol);
        }
        let error_type = failure_of(status);
        let position = REGISTERED.binary_search(&status).unwrap_or_else(|_| {
            self.measurement.describe(|attributes| attributes.number(&STATUS_CODE, status.into()));
            let of_class = UNREGISTERED.iter().position(|failure| *failure == error_type);
            REGISTERED.len() + of_class.unwrap_or_default()
        });
        self.measurement.finish(position);
        error_type
    }

    /// Ends the call without a response.
    pub fn failed(mut self, error_type: ErrorType) {
        let known = failure_position(error_type);
        if known.is_none() {
            self.measurement.describe(|attributes| attributes.name(&ERROR_CAUSE, error_type));
        }
        let position = known.or_else(|| failure_position(ErrorType::Internal));
        self.measurement.finish(position.unwrap_or_default());
    }
}

fn failure_position(error_type: ErrorType) -> Option<usize> {
    let position = FAILURES.iter().position(|failure| *failure == error_type)?;
    Some(REGISTERED.len() + UNREGISTERED.len() + position)
}

/// The final statuses that are registered, a closed set, in ascending order.
static REGISTERED: LazyLock<Box<[u16]>> = LazyLock::new(|| {
    let is_registered =
        |status: &u16| StatusCode::from_u16(*status).is_ok_and(|s| s.canonical_reason().is_some());
    (200..600).filter(is_registered).collect()
});

/// Returns the failure that a final status means. Redirects count as failures, because they are not followed.
fn failure_of(status: u16) -> Option<ErrorType> {
    match status {
        200..=299 => None,
        300..=399 => Some(ErrorType::Protocol),
        429 => Some(ErrorType::RateLimited),
        400..=499 => Some(ErrorType::Rejected),
        _ => Some(ErrorType::Unavailable),
    }
}
