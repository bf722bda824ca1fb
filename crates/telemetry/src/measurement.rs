//! Measuring an operation that is a child of the current one: a database operation, a call to another service, a delivery.

use crate::attribute::Attributes;
use crate::clock::{Monotonic, Timestamp};
use crate::current;
use crate::record::{Operation, Record};
use crate::telemetry::Telemetry;
use crate::trace::{SpanContext, SpanId, TraceId};

/// An operation that has begun. [`finish`](Measurement::finish) makes its record; dropping it instead, as an abandoned future
/// does, makes the record with the outcome that was named for it, so no operation can vanish.
pub struct Measurement<'a> {
    telemetry: &'a Telemetry,
    operation: &'a Operation,
    /// The outcome if nobody calls `finish`.
    abandoned: usize,
    identity: Identity,
    /// Ids and numbers of this one.
    pub attributes: Attributes,
    finished: bool,
}

/// Who a span is and when it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) context: SpanContext,
    pub(crate) parent: Option<SpanId>,
    pub(crate) link: Option<SpanContext>,
    pub(crate) started: Monotonic,
    pub(crate) start: Timestamp,
}

impl Identity {
    /// A new root, or with `parent` a child of it.
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

    /// Ends the span now.
    pub(crate) fn record<'a>(
        &self,
        operation: &'a Operation,
        outcome: usize,
        attributes: &'a Attributes,
    ) -> Record<'a> {
        Record {
            operation,
            outcome,
            context: self.context,
            parent: self.parent,
            link: self.link,
            start: self.start,
            nanoseconds: self.started.elapsed(),
            attributes,
        }
    }
}

impl<'a> Measurement<'a> {
    /// Begins an operation as a child of the current one, or as the root of a new trace where there is none.
    pub fn begin(telemetry: &'a Telemetry, operation: &'a Operation, abandoned: usize) -> Self {
        let identity = Identity::begin(telemetry, current::context(), None);
        Self { telemetry, operation, abandoned, identity, attributes: Attributes::default(), finished: false }
    }

    /// The span's context, to be handed to whoever is called.
    pub fn context(&self) -> SpanContext {
        self.identity.context
    }

    /// Ends the operation and returns how long it took, in nanoseconds.
    pub fn finish(mut self, outcome: usize) -> u64 {
        self.finished = true;
        self.make_record(outcome)
    }

    fn make_record(&self, outcome: usize) -> u64 {
        let record = self.identity.record(self.operation, outcome, &self.attributes);
        self.telemetry.finish(&record);
        record.nanoseconds
    }
}

impl Drop for Measurement<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.make_record(self.abandoned);
        }
    }
}
