//! Calls to others over HTTP: one record per call, and the trace context that goes with it.
//!
//! This module sends nothing. Whoever does begins a [`Call`], hands its context to the peer and says how it ended. A record names the
//! kind of the peer and never its address: that may be a customer's.

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

/// Answers by class, and what kind of failure each is. Redirects are answers like others, because nobody follows them.
const ANSWERS: &[(&str, Option<ErrorType>)] = &[
    ("2xx", None),
    ("3xx", Some(ErrorType::Protocol)),
    ("4xx", Some(ErrorType::Rejected)),
    ("4xx", Some(ErrorType::RateLimited)),
    ("5xx", Some(ErrorType::Unavailable)),
];

/// Why there was no answer. Whatever is not listed is `internal`, with its cause in line and span.
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

/// Makes the records of calls to peers of the kinds `P`.
pub struct HttpClient<P> {
    telemetry: Telemetry,
    operations: Box<[Operation]>,
    peers: PhantomData<fn(P)>,
}

impl<P: Label> HttpClient<P> {
    /// Prepares every series of calls with this method.
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

    /// Begins a call as a child of the current operation. Dropping it is its end, too: the call was cancelled.
    pub fn begin(&self, peer: P) -> Call<'_> {
        let cancelled = failure_position(ErrorType::Cancelled).unwrap_or_default();
        Call { measurement: Measurement::begin(&self.telemetry, &self.operations[peer.index()], cancelled) }
    }
}

/// A call that is under way.
pub struct Call<'a> {
    measurement: Measurement<'a>,
}

impl Call<'_> {
    /// The context of the call's span, which the peer is told.
    pub fn context(&self) -> SpanContext {
        self.measurement.context()
    }

    /// Adds ids to the record.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Attributes)) {
        self.measurement.describe(describe);
    }

    /// The peer has answered with this status. Returns what kind of failure the answer is, if it is one.
    pub fn answered(mut self, status: u16) -> Option<ErrorType> {
        let (class, error_type) = match status {
            200..=299 => ("2xx", None),
            300..=399 => ("3xx", Some(ErrorType::Protocol)),
            429 => ("4xx", Some(ErrorType::RateLimited)),
            400..=499 => ("4xx", Some(ErrorType::Rejected)),
            500..=599 => ("5xx", Some(ErrorType::Unavailable)),
            // No client that waits for an answer sees any other.
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

    /// There was no answer.
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
