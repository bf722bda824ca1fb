//! Families of operations: one event and one metric for all of them, with a kind and an outcome
//! from closed sets.
//!
//! Database operations, job runs, e-mail deliveries and outgoing calls all have this shape.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use signal::metric::{
    Carrier, CounterMetric, HistogramMetric, Label, LabelSet, MetricDescription, SeriesLabels,
};
use signal::{ErrorType, InstrumentationScope, Key, Outcome, SqlState};

use crate::Telemetry;
use crate::attribute::Attributes;
use crate::current::{self, Scope};
use crate::identity::Identity;
use crate::measurement::Measurement;
use crate::meter::{BoundCounter, SeriesByAttributes};
use crate::record::{
    Constants, DurationSeries, Operation, OperationDescription, OutcomeDescription, SpanKind,
};
use crate::trace::SpanContext;

/// The precise error type, where the outcome is coarser.
pub(crate) static ERROR_CAUSE: Key = Key("error.cause");

/// The error type, where the outcome does not say it.
pub(crate) static ERROR_TYPE: Key = Key("error.type");

/// The code of a failed database operation.
static DB_RESPONSE_STATUS_CODE: Key = Key("db.response.status_code");

/// Details of a failure that a record carries beside its outcome.
pub trait Cause {
    /// Adds the details to the record.
    fn describe(&self, attributes: &mut Attributes);
}

impl Cause for ErrorType {
    fn describe(&self, attributes: &mut Attributes) {
        attributes.name(&ERROR_CAUSE, *self);
    }
}

/// The failure of a database operation: its kind, and its code if the database responded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseCause {
    /// The kind of failure.
    pub error_type: ErrorType,
    /// The code of the response.
    pub sql_state: Option<SqlState>,
}

impl Cause for DatabaseCause {
    fn describe(&self, attributes: &mut Attributes) {
        attributes.name(&ERROR_TYPE, self.error_type);
        if let Some(sql_state) = self.sql_state {
            attributes.name(&DB_RESPONSE_STATUS_CODE, sql_state);
        }
    }
}

/// The properties that all operations of a family share.
pub struct FamilyDescription {
    /// Name of the log event.
    pub event: &'static str,
    /// Kind of the span. The span's name is the `as_str` of the operation's kind.
    pub span_kind: SpanKind,
    /// The part of the program that carries the operations out.
    pub scope: InstrumentationScope,
    /// Attributes of every line and span.
    pub attributes: Constants,
}

/// A family of operations with kinds `K` and outcomes `O`.
pub struct Operations<K, O> {
    telemetry: Telemetry,
    operations: Box<[Operation]>,
    /// If true, count and duration of these operations are added to the record of the enclosing
    /// request or job.
    tallied: bool,
    labels: std::marker::PhantomData<fn(K, O)>,
}

/// The parts of an outcome that depend on the family's metric.
struct Recorder {
    attributes: Constants,
    histogram: Option<DurationSeries>,
    counter: Option<BoundCounter>,
}

/// Returns the attributes of an outcome that is a label itself.
fn attributes_of<O: Outcome>(outcome: O) -> Constants {
    match outcome.as_str() {
        "" => Constants::new(),
        name => vec![(O::KEY, name.into())],
    }
}

/// Panics if the metric was not declared as one of operations: the allow-list would lack its labels.
fn check_carrier(metric: &MetricDescription) {
    assert_eq!(metric.carrier, Carrier::Spans, "{} is not declared as `of_operations`", metric.name);
}

impl<K: Label, O: Outcome> Operations<K, O> {
    /// Creates a family whose durations are recorded in a histogram.
    pub fn timed(telemetry: &Telemetry, family: FamilyDescription, metric: &HistogramMetric<(K, O)>) -> Self {
        check_carrier(&metric.description());
        let histogram = telemetry.meter().histogram(metric);
        Self::build(telemetry, family, |kind, outcome| Recorder {
            attributes: attributes_of(outcome),
            histogram: Some(histogram.bind((kind, outcome)).into()),
            counter: None,
        })
    }

    /// Creates a family whose durations are recorded in a histogram that tells failures apart by
    /// their [`Cause`], with the attributes `failure_keys`. The record of a failure gets `error.type`
    /// from its cause, and only that of an abandoned operation from its outcome. The series of
    /// `labels` exist from the start and count successes. Those of failures begin with the first.
    pub fn timed_by_cause<L: LabelSet>(
        telemetry: &Telemetry,
        family: FamilyDescription,
        metric: &HistogramMetric<L>,
        labels: impl Fn(K) -> L,
        failure_keys: &'static [&'static str],
    ) -> Self {
        check_carrier(&metric.description());
        let meter = telemetry.meter();
        let histogram = meter.histogram(metric);
        let failures = |labels: SeriesLabels, keys| {
            let series = SeriesByAttributes::new(meter, metric.description(), labels, keys);
            Some(DurationSeries::ByAttributes(Arc::new(series)))
        };
        Self::build(telemetry, family, |kind, outcome| {
            let labels = labels(kind);
            let owned =
                || labels.pairs().map(|(key, value)| (key, value.to_owned())).collect::<SeriesLabels>();
            let (attributes, histogram) = if outcome.as_str().is_empty() {
                (Constants::new(), Some(histogram.bind(labels).into()))
            } else if outcome.index() == O::ABANDONED.index() {
                let name = (ERROR_TYPE.0, outcome.as_str());
                (
                    vec![(name.0, name.1.into())],
                    failures([owned(), vec![(name.0, name.1.to_owned())]].concat(), &[]),
                )
            } else {
                (Constants::new(), failures(owned(), failure_keys))
            };
            Recorder { attributes, histogram, counter: None }
        })
    }

    /// Creates a family whose operations are counted but not timed.
    pub fn counted(telemetry: &Telemetry, family: FamilyDescription, metric: &CounterMetric<(K, O)>) -> Self {
        check_carrier(&metric.description());
        let counter = telemetry.meter().counter(metric);
        Self::build(telemetry, family, |kind, outcome| Recorder {
            attributes: attributes_of(outcome),
            histogram: None,
            counter: Some(counter.bind((kind, outcome))),
        })
    }

    /// Adds count and total duration of these operations to the record of the enclosing request or
    /// job.
    pub fn tallied(self) -> Self {
        Self { tallied: true, ..self }
    }

    fn build(telemetry: &Telemetry, family: FamilyDescription, recorder: impl Fn(K, O) -> Recorder) -> Self {
        let operation = |kind: K| {
            let outcomes = O::ALL.iter().map(|outcome| {
                let Recorder { attributes, histogram, counter } = recorder(kind, *outcome);
                let (level, is_error) = (outcome.level(), outcome.is_error());
                OutcomeDescription { attributes, level, is_error, histogram, counter }
            });
            let mut attributes = family.attributes.clone();
            attributes.push((K::KEY, kind.as_str().into()));
            Operation::new(OperationDescription {
                event: family.event,
                span_name: kind.as_str().to_owned(),
                kind: family.span_kind,
                scope: family.scope,
                attributes,
                outcomes: outcomes.collect(),
            })
        };
        let operations = K::ALL.iter().map(|kind| operation(*kind)).collect();
        Self { telemetry: telemetry.clone(), operations, tallied: false, labels: std::marker::PhantomData }
    }

    /// Measures `work` as a child of the current operation. `work` returns its outcome and, for a
    /// failure, the precise cause.
    pub fn observe<T>(
        &self,
        kind: K,
        work: impl Future<Output = (T, O, Option<ErrorType>)>,
    ) -> impl Future<Output = T> {
        self.observe_with(kind, |_| (), work)
    }

    /// Like [`observe`](Self::observe), for failures that carry more details than their type.
    pub fn observe_causes<T, C: Cause>(
        &self,
        kind: K,
        work: impl Future<Output = (T, O, Option<C>)>,
    ) -> impl Future<Output = T> {
        Observed { work, operations: self, kind, describe: Some(|_: &mut Attributes| ()), measurement: None }
    }

    /// Like [`observe`](Self::observe), with ids for the record.
    pub fn observe_with<T>(
        &self,
        kind: K,
        describe: impl FnOnce(&mut Attributes),
        work: impl Future<Output = (T, O, Option<ErrorType>)>,
    ) -> impl Future<Output = T> {
        Observed { work, operations: self, kind, describe: Some(describe), measurement: None }
    }

    /// Runs `work` as the root of a new trace that is linked to the span that caused it. Everything
    /// measured within becomes its child.
    pub fn run<T>(
        &self,
        kind: K,
        cause: Option<SpanContext>,
        describe: impl FnOnce(&mut Attributes),
        work: impl Future<Output = (T, O, Option<ErrorType>)>,
    ) -> impl Future<Output = T> {
        Running { work, operations: self, kind, cause, describe: Some(describe), run: None }
    }
}

// Both futures are written by hand. An `async fn` holds its arguments twice and is copied as a
// whole into each future that awaits it: three layers of them took 33 KiB for a pool connection.

pin_project! {
    /// Work that is measured from its first poll.
    struct Observed<'a, K, O, D, W> {
        #[pin]
        work: W,
        operations: &'a Operations<K, O>,
        kind: K,
        // Taken at the first poll.
        describe: Option<D>,
        measurement: Option<Measurement<'a>>,
    }
}

impl<K, O, D, W, T, C> Future for Observed<'_, K, O, D, W>
where
    K: Label,
    O: Outcome,
    D: FnOnce(&mut Attributes),
    W: Future<Output = (T, O, Option<C>)>,
    C: Cause,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        let operations: &Operations<K, O> = this.operations;
        if let Some(describe) = this.describe.take() {
            let operation = &operations.operations[this.kind.index()];
            let measurement = Measurement::begin(&operations.telemetry, operation, O::ABANDONED.index());
            this.measurement.insert(measurement).describe(describe);
        }
        let (result, outcome, cause) = ready!(this.work.poll(context));
        if let Some(mut measurement) = this.measurement.take() {
            if let Some(cause) = cause {
                measurement.describe(|attributes| cause.describe(attributes));
            }
            let nanoseconds = measurement.finish(outcome.index());
            if operations.tallied {
                current::update(|scope| {
                    scope.database_operations += 1;
                    scope.database_nanoseconds += nanoseconds;
                });
            }
        }
        Poll::Ready(result)
    }
}

pin_project! {
    /// Work with its own scope from its first poll.
    struct Running<'a, K, O, D, W> {
        #[pin]
        work: W,
        operations: &'a Operations<K, O>,
        kind: K,
        cause: Option<SpanContext>,
        // Taken at the first poll.
        describe: Option<D>,
        run: Option<Run<'a>>,
    }
}

impl<K, O, D, W, T> Future for Running<'_, K, O, D, W>
where
    K: Label,
    O: Outcome,
    D: FnOnce(&mut Attributes),
    W: Future<Output = (T, O, Option<ErrorType>)>,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        let operations: &Operations<K, O> = this.operations;
        if let Some(describe) = this.describe.take() {
            let identity = Identity::begin(&operations.telemetry, None, *this.cause);
            let mut scope = Scope::begin(identity, None);
            describe(&mut scope.attributes);
            *this.run = Some(Run {
                telemetry: &operations.telemetry,
                operation: &operations.operations[this.kind.index()],
                scope: Some(scope),
                outcome: O::ABANDONED.index(),
            });
        }
        let (work, mut no_scope) = (this.work, None);
        let scope = this.run.as_mut().map_or(&mut no_scope, |run| &mut run.scope);
        let (result, outcome, cause) = ready!(current::within(scope, || work.poll(context)));
        if let Some(run) = this.run {
            run.outcome = outcome.index();
            if let (Some(scope), Some(cause)) = (&mut run.scope, cause) {
                scope.attributes.name(&ERROR_CAUSE, cause);
            }
        }
        // Dropping the run makes its record.
        *this.run = None;
        Poll::Ready(result)
    }
}

/// Makes the record when dropped, whether the work ended or was abandoned.
struct Run<'a> {
    telemetry: &'a Telemetry,
    operation: &'a Operation,
    scope: Option<Box<Scope>>,
    outcome: usize,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if let Some(mut scope) = self.scope.take() {
            self.telemetry.finish(&scope.record(self.operation, self.outcome));
            scope.end();
        }
    }
}
