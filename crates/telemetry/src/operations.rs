//! Operations of one family: the same event and metric, one kind and one outcome from closed sets each.
//!
//! Database operations, job runs, e-mail deliveries and calls to others are all of this shape.

use crate::attribute::{Attributes, Key};
use crate::catalogue::{CounterMetric, HistogramMetric, Label};
use crate::current::{self, InScope, Scope};
use crate::log::Level;
use crate::measurement::{Identity, Measurement};
use crate::meter::{BoundCounter, BoundHistogram};
use crate::record::{Constants, Operation, OperationDescription, OutcomeDescription, SpanKind};
use crate::trace::SpanContext;
use crate::{ErrorType, Telemetry};

/// The precise failure behind an outcome that is a coarser one.
pub(crate) static ERROR_CAUSE: Key = Key("error.cause");

/// How operations of a family end. An empty [`as_str`](crate::ClosedSet::as_str) leaves the label out, as the conventions ask of
/// `error.type` when there was no error.
pub trait Outcome: Label {
    /// How an operation ends that nobody finished: its future was dropped.
    const ABANDONED: Self;

    /// The level of the log line.
    fn level(self) -> Level;

    /// Whether the span's status is `ERROR`.
    fn is_error(self) -> bool;
}

/// What the operations of a family have in common.
pub struct FamilyDescription {
    /// The name of the log event.
    pub event: &'static str,
    /// The kind of the span, whose name is the kind's `as_str`.
    pub span_kind: SpanKind,
    /// Attributes of every line and span.
    pub attributes: Constants,
}

/// A family of operations with kinds `K` and outcomes `O`.
pub struct Operations<K, O> {
    telemetry: Telemetry,
    operations: Box<[Operation]>,
    /// Whether the operations are added up in the record of the request or job that made them.
    tallied: bool,
    labels: std::marker::PhantomData<fn(K, O)>,
}

impl<K: Label, O: Outcome> Operations<K, O> {
    /// A family whose durations are a histogram.
    pub fn timed(telemetry: &Telemetry, family: FamilyDescription, metric: &HistogramMetric<(K, O)>) -> Self {
        let histogram = telemetry.meter().histogram(metric);
        Self::build(telemetry, family, |kind, outcome| (Some(histogram.bind((kind, outcome))), None))
    }

    /// A family that is only counted.
    pub fn counted(telemetry: &Telemetry, family: FamilyDescription, metric: &CounterMetric<(K, O)>) -> Self {
        let counter = telemetry.meter().counter(metric);
        Self::build(telemetry, family, |kind, outcome| (None, Some(counter.bind((kind, outcome)))))
    }

    /// Adds these operations up in the record of the request or job that makes them: how many, and how long together.
    pub fn tallied(self) -> Self {
        Self { tallied: true, ..self }
    }

    fn build(
        telemetry: &Telemetry,
        family: FamilyDescription,
        points: impl Fn(K, O) -> (Option<BoundHistogram>, Option<BoundCounter>),
    ) -> Self {
        let operation = |kind: K| {
            let outcomes = O::ALL.iter().map(|outcome| {
                let (histogram, counter) = points(kind, *outcome);
                let attributes = match outcome.as_str() {
                    "" => Constants::new(),
                    name => vec![(O::KEY, name.into())],
                };
                let (level, is_error) = (outcome.level(), outcome.is_error());
                OutcomeDescription { attributes, level, is_error, histogram, counter }
            });
            let mut attributes = family.attributes.clone();
            attributes.push((K::KEY, kind.as_str().into()));
            Operation::new(OperationDescription {
                event: family.event,
                span_name: kind.as_str().to_owned(),
                kind: family.span_kind,
                attributes,
                outcomes: outcomes.collect(),
            })
        };
        let operations = K::ALL.iter().map(|kind| operation(*kind)).collect();
        Self { telemetry: telemetry.clone(), operations, tallied: false, labels: std::marker::PhantomData }
    }

    /// Measures `work` as a child of the current operation. It answers its outcome and, for a failure, the precise cause.
    pub async fn observe<T>(&self, kind: K, work: impl Future<Output = (T, O, Option<ErrorType>)>) -> T {
        self.observe_with(kind, |_| (), work).await
    }

    /// The same, with ids for the record.
    pub async fn observe_with<T>(
        &self,
        kind: K,
        describe: impl FnOnce(&mut Attributes),
        work: impl Future<Output = (T, O, Option<ErrorType>)>,
    ) -> T {
        let mut measurement =
            Measurement::begin(&self.telemetry, &self.operations[kind.index()], O::ABANDONED.index());
        describe(&mut measurement.attributes);
        let (result, outcome, cause) = work.await;
        if let Some(cause) = cause {
            measurement.attributes.name(&ERROR_CAUSE, cause);
        }
        let nanoseconds = measurement.finish(outcome.index());
        if self.tallied {
            current::update(|scope| {
                scope.database_operations += 1;
                scope.database_nanoseconds += nanoseconds;
            });
        }
        result
    }

    /// Runs `work` as the root of a trace of its own, linked to the span that caused it. Everything measured within becomes
    /// its child.
    pub async fn run<T>(
        &self,
        kind: K,
        cause: Option<SpanContext>,
        describe: impl FnOnce(&mut Attributes),
        work: impl Future<Output = (T, O, Option<ErrorType>)>,
    ) -> T {
        let mut run = Run {
            operation: &self.operations[kind.index()],
            telemetry: &self.telemetry,
            identity: Identity::begin(&self.telemetry, None, cause),
            attributes: Attributes::default(),
            outcome: O::ABANDONED.index(),
        };
        describe(&mut run.attributes);
        let mut scope = Scope::new(run.identity.context);
        scope.attributes = run.attributes;
        let ((result, outcome, error_type), scope) = InScope::new(scope, work).await;
        run.outcome = outcome.index();
        if let Some(mut scope) = scope {
            run.attributes = *scope.complete();
        }
        if let Some(error_type) = error_type {
            run.attributes.name(&ERROR_CAUSE, error_type);
        }
        result
    }
}

/// Makes its record when it is dropped, whether its work has ended or was abandoned.
struct Run<'a> {
    telemetry: &'a Telemetry,
    operation: &'a Operation,
    identity: Identity,
    attributes: Attributes,
    outcome: usize,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.telemetry.finish(&self.identity.record(self.operation, self.outcome, &self.attributes));
    }
}
