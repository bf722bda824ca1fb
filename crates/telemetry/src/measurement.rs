//! Measurement of an operation that is a child of the current one: a database operation, an
//! outgoing call, a delivery.

use crate::attribute::Attributes;
use crate::current::{self, Scope};
use crate::identity::Identity;
use crate::record::Operation;
use crate::telemetry::Telemetry;
use crate::trace::SpanContext;
use crate::trace_state::TraceState;

/// An operation in progress. [`finish`](Measurement::finish) makes its record. Dropping it, for example in a
/// cancelled future, creates the record with the outcome `abandoned`, so no operation can vanish.
pub struct Measurement<'a> {
    telemetry: &'a Telemetry,
    operation: &'a Operation,
    /// Index of the outcome recorded if `finish` is never called.
    abandoned: usize,
    context: SpanContext,
    /// Taken when the record is made. Boxed because measurements are moved several times; this
    /// scope is never the thread's current one.
    scope: Option<Box<Scope>>,
}

impl<'a> Measurement<'a> {
    /// Begins an operation as a child of the current one, or as the root of a new trace if there is
    /// none.
    pub fn begin(telemetry: &'a Telemetry, operation: &'a Operation, abandoned: usize) -> Self {
        let (parent, trace_state) = current::parent();
        let identity = Identity::begin(telemetry, parent, None);
        let context = identity.context;
        let scope = Scope::begin(identity, trace_state);
        Self { telemetry, operation, abandoned, context, scope: Some(scope) }
    }

    /// Returns the span's context, to be sent to the service that is called.
    pub fn context(&self) -> SpanContext {
        self.context
    }

    /// Returns the `tracestate` to be sent with the context, if the trace has one.
    pub fn trace_state(&self) -> Option<&TraceState> {
        self.scope.as_ref()?.trace_state.as_ref()
    }

    /// Adds ids and numbers to the record.
    pub fn describe(&mut self, describe: impl FnOnce(&mut Attributes)) {
        if let Some(scope) = &mut self.scope {
            describe(&mut scope.attributes);
        }
    }

    /// Ends the operation and returns its duration in nanoseconds.
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
