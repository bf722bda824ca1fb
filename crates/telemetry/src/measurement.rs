//! Measuring an operation that is a child of the current one: a database operation, a call to another service, a delivery.

use crate::attribute::Attributes;
use crate::clock::{Monotonic, Timestamp};
use crate::current::{self, Scope};
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
    context: SpanContext,
    /// Boxed because measurements are moved several times; it is never the current one. Taken when the record is made.
    scope: Option<Box<Scope>>,
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
        let context = identity.context;
        Self { telemetry, operation, abandoned, context, scope: Some(Scope::begin(identity)) }
    }

    /// The span's context, to be handed to whoever is called.
    pub fn context(&self) -> SpanContext {
        self.context
    }

    /// Adds ids and numbers of this one.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Attributes)) {
        if let Some(scope) = &mut self.scope {
            describe(&mut scope.attributes);
        }
    }

    /// Ends the operation and returns how long it took, in nanoseconds.
    pub fn finish(mut self, outcome: usize) -> u64 {
        self.make_record(outcome)
    }

    fn make_record(&mut self, outcome: usize) -> u64 {
        let Some(mut scope) = self.scope.take() else { return 0 };
        let record = scope.record(self.operation, outcome);
        self.telemetry.finish(&record);
        let nanoseconds = record.nanoseconds;
        scope.end();
        nanoseconds
    }
}

impl Drop for Measurement<'_> {
    fn drop(&mut self) {
        self.make_record(self.abandoned);
    }
}
