//! Telemetry of outgoing HTTP calls: one record per call, and the trace context sent with it.
//!
//! This module sends nothing. The caller begins a [`Call`], sends its context to the peer and
//! reports how it ended. A record names the kind of the peer and never its address, which may
//! belong to a customer.

use std::marker::PhantomData;

use crate::attribute::{Attributes, Key};
use crate::builtin::{HTTP_CLIENT_REQUEST_DURATION, STATUS_CLASS};
use crate::catalogue::Label;
use crate::log::Level;
use crate::measurement::Measurement;
use crate::operations::ERROR_CAUSE;
use crate::record::{Constants, Operation, OperationDescription, OutcomeDescription, SpanKind};
use crate::trace::SpanContext;
use crate::{ClosedSet, ErrorType, Telemetry, events};

static STATUS_CODE: Key = Key("http.response.status_code");

/// Status classes, and the failure that each one means. Redirects are ordinary responses, because
/// nothing follows them.
const ANSWERS: &[(&str, Option<ErrorType>)] = &[
    ("2xx", None),
    ("3xx", Some(ErrorType::Protocol)),
    ("4xx", Some(ErrorType::Rejected)),
    ("4xx", Some(ErrorType::RateLimited)),
    ("5xx", Some(ErrorType::Unavailable)),
];

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
            let outcome = |class: Option<&'static str>, error_type: Option<ErrorType>| {
                let mut series = vec![(P::KEY, peer.as_str().to_owned())];
                let mut attributes = Constants::new();
                if let Some(class) = class {
                    series.push((STATUS_CLASS, class.to_owned()));
                    attributes.push((STATUS_CLASS, class.into()));
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
                        telemetry.meter().histogram_series(&HTTP_CLIENT_REQUEST_DURATION, series),
                    ),
                    counter: None,
                }
            };
            let answers = ANSWERS.iter().map(|(class, error_type)| outcome(Some(class), *error_type));
            let failures = FAILURES.iter().map(|error_type| outcome(None, Some(*error_type)));
            Operation::new(OperationDescription {
                event: events::CLIENT_REQUEST,
                span_name: format!("{method} {}", peer.as_str()),
                kind: SpanKind::Client,
                attributes: vec![("http.request.method", method.into()), (P::KEY, peer.as_str().into())],
                outcomes: answers.chain(failures).collect(),
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

    /// Adds ids to the record.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Attributes)) {
        self.measurement.describe(describe);
    }

    /// Ends the call with the status of the peer's response. Returns the error type if the status
    /// is a failure.
    pub fn answered(mut self, status: u16) -> Option<ErrorType> {
        let (class, error_type) = match status {
            200..=299 => ("2xx", None),
            300..=399 => ("3xx", Some(ErrorType::Protocol)),
            429 => ("4xx", Some(ErrorType::RateLimited)),
            400..=499 => ("4xx", Some(ErrorType::Rejected)),
            500..=599 => ("5xx", Some(ErrorType::Unavailable)),
            // HTTP clients return no other classes to their caller.
            _ => {
                self.failed(ErrorType::Protocol);
                return Some(ErrorType::Protocol);
            }
        };
        self.measurement.describe(|attributes| attributes.number(&STATUS_CODE, status.into()));
        let position = ANSWERS.iter().position(|answer| *answer == (class, error_type));
        self.measurement.finish(position.unwrap_or_default());
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
    FAILURES.iter().position(|failure| *failure == error_type).map(|position| ANSWERS.len() + position)
}
