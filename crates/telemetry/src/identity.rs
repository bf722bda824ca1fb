//! The ids and the start time of a span, from which its record is made when it ends.

use crate::attribute::Attributes;
use crate::clock::{Monotonic, Timestamp};
use crate::record::{Operation, Record};
use crate::telemetry::Telemetry;
use crate::trace::{SpanContext, SpanId, TraceId};
use crate::trace_state::TraceState;

/// The identity and start time of a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) context: SpanContext,
    pub(crate) parent: Option<SpanId>,
    pub(crate) link: Option<SpanContext>,
    pub(crate) started: Monotonic,
    pub(crate) start: Timestamp,
}

impl Identity {
    /// Begins a root span, or a child if there is a `parent`.
    #[inline]
    pub(crate) fn begin(
        telemetry: &Telemetry,
        parent: Option<SpanContext>,
        link: Option<SpanContext>,
    ) -> Self {
        let trace_id = parent.map_or_else(TraceId::random, |parent| parent.trace_id);
        let sampled = match parent {
            Some(parent) => parent.sampled,
            None => telemetry.sampler().decide(trace_id, None),
        };
        let started = Monotonic::now();
        Self {
            context: SpanContext { trace_id, span_id: SpanId::random(), sampled },
            parent: parent.map(|parent| parent.span_id),
            link,
            started,
            start: telemetry.clock().timestamp(started),
        }
    }

    /// Returns the identity of a scope that only lends its context to children.
    pub(crate) fn of_guest(context: SpanContext) -> Self {
        let (started, start) = (Monotonic::now(), Timestamp::from_unix_nanoseconds(0));
        Self { context, parent: None, link: None, started, start }
    }

    /// Ends the span now and returns its record.
    #[inline]
    pub(crate) fn record<'a>(
        &self,
        operation: &'a Operation,
        outcome: usize,
        trace_state: Option<&'a TraceState>,
        attributes: &'a Attributes,
    ) -> Record<'a> {
        Record {
            operation,
            outcome,
            context: self.context,
            parent: self.parent,
            link: self.link,
            trace_state,
            start: self.start,
            nanoseconds: self.started.elapsed(),
            attributes,
        }
    }
}
