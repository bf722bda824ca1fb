//! Declarations of metrics: name, unit, closed labels and the question each one answers.
//!
//! A declaration is a constant whose type carries the label set. An instrument built from it
//! accepts nothing else, and a dashboard that names a label value that does not exist does not
//! compile.

use std::marker::PhantomData;

use crate::{ClosedSet, exponential};

/// A closed set that is used as a metric label.
pub trait Label: ClosedSet {
    /// The attribute name, in OpenTelemetry's dotted spelling.
    const KEY: &'static str;
}

/// Label names and values of one series.
pub type SeriesLabels = Vec<(&'static str, String)>;

/// All labels of one metric. Implemented for `()`, one [`Label`], and pairs of them.
pub trait LabelSet: Copy + 'static {
    /// Number of series of the metric: the product of its labels' sizes.
    const SERIES: usize;

    /// The label names in order.
    const KEYS: &'static [&'static str];

    /// Returns the index of this combination among all combinations; below
    /// [`SERIES`](LabelSet::SERIES).
    fn series_index(self) -> usize;

    /// Returns the label names with this combination's values.
    fn pairs(self) -> impl Iterator<Item = (&'static str, &'static str)>;

    /// Returns the combination at an index; the inverse of
    /// [`series_index`](LabelSet::series_index).
    fn at(index: usize) -> Self;

    /// Returns every combination, in order of index. Labels with an empty value are left out:
    /// Prometheus treats both alike, and `error.type` must be absent when there is no error.
    fn all_series() -> Vec<SeriesLabels> {
        let owned = |(key, value): (&'static str, &'static str)| (key, value.to_owned());
        let labels =
            |index| Self::at(index).pairs().filter(|(_, value)| !value.is_empty()).map(owned).collect();
        (0..Self::SERIES).map(labels).collect()
    }
}

impl LabelSet for () {
    const SERIES: usize = 1;
    const KEYS: &'static [&'static str] = &[];

    #[inline]
    fn series_index(self) -> usize {
        0
    }

    fn pairs(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        std::iter::empty()
    }

    fn at(_: usize) -> Self {}
}

impl<A: Label> LabelSet for A {
    const SERIES: usize = A::ALL.len();
    const KEYS: &'static [&'static str] = &[A::KEY];

    fn series_index(self) -> usize {
        self.index()
    }

    fn pairs(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        std::iter::once((A::KEY, self.as_str()))
    }

    fn at(index: usize) -> Self {
        A::ALL[index]
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const SERIES: usize = A::ALL.len() * B::ALL.len();
    const KEYS: &'static [&'static str] = &[A::KEY, B::KEY];

    fn series_index(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }

    fn pairs(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [(A::KEY, self.0.as_str()), (B::KEY, self.1.as_str())].into_iter()
    }

    fn at(index: usize) -> Self {
        (A::ALL[index / B::ALL.len()], B::ALL[index % B::ALL.len()])
    }
}

/// Kinds of metric in the OpenTelemetry data model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum that only increases.
    Counter,
    /// A sum that increases and decreases.
    UpDownCounter,
    /// The current value of something.
    Gauge,
    /// A distribution of durations.
    Histogram,
}

impl MetricKind {
    /// Returns the type's name in the Prometheus text format.
    pub const fn prometheus_type(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::UpDownCounter | MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// UCUM units, as OpenTelemetry writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// UCUM `s`.
    Seconds,
    /// UCUM `By`.
    Bytes,
    /// `1`, a plain number such as a ratio or a flag.
    One,
    /// `{thing}`: a count of something, named in the singular and in braces.
    Count(&'static str),
}

impl Unit {
    /// Returns the UCUM text, with counted objects in braces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Bytes => "By",
            Unit::One => "1",
            Unit::Count(annotation) => annotation,
        }
    }
}

/// The signals that carry the labels of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Only the metric's points.
    Points,
    /// Also the log line of a business fact.
    Lines,
    /// Also span and log line of an operation.
    Spans,
}

/// One row of the catalogue, without the type of its labels.
#[derive(Clone, Copy, Debug)]
pub struct MetricDescription {
    /// OpenTelemetry name with dots, such as `http.server.request.duration`.
    pub name: &'static str,
    /// The kind of instrument.
    pub kind: MetricKind,
    /// The UCUM unit, from which Prometheus derives a suffix.
    pub unit: Unit,
    /// One sentence that defines the number; Prometheus shows it as help.
    pub help: &'static str,
    /// The operator's question that the metric answers.
    pub question: &'static str,
    /// Label names, in order.
    pub label_keys: &'static [&'static str],
    /// Every series of a metric whose labels are closed by type. `None` where the series are closed
    /// at start: HTTP routes and their documented statuses.
    pub all_series: Option<fn() -> Vec<SeriesLabels>>,
    /// The signals that carry the labels.
    pub carrier: Carrier,
    /// Bounds in seconds, powers of two, for readers that know only classic buckets. Empty for kinds
    /// other than histograms.
    pub bounds: &'static [f64],
}

impl MetricDescription {
    /// Returns the name that Prometheus derives with its `UnderscoreEscapingWithSuffixes`
    /// translation.
    ///
    /// <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>
    pub fn prometheus_name(&self) -> String {
        let mut name = prometheus_label(self.name);
        let suffix = match self.unit {
            Unit::Seconds => "_seconds",
            Unit::Bytes => "_bytes",
            Unit::One if self.kind == MetricKind::Gauge => "_ratio",
            Unit::One | Unit::Count(_) => "",
        };
        if !name.ends_with(suffix) {
            name.push_str(suffix);
        }
        if self.kind == MetricKind::Counter && !name.ends_with("_total") {
            name.push_str("_total");
        }
        name
    }
}

/// Replaces every character of a label or metric name by `_`, except letters, digits and `_`.
pub fn prometheus_label(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Bounds of classic buckets for requests, in seconds: from a millisecond to 16 seconds.
pub const DURATION_BOUNDS: &[f64] = &powers_of_two::<15>(-10);

/// Bounds of classic buckets, in seconds, for work that takes from milliseconds to minutes: jobs
/// and deliveries.
pub const LONG_DURATION_BOUNDS: &[f64] = &powers_of_two::<16>(-6);

/// Bounds of classic buckets for database operations, in seconds: from an eighth of a millisecond
/// to 16 seconds, more than the timeout of a statement.
pub const DATABASE_BOUNDS: &[f64] = &powers_of_two::<18>(-13);

/// Returns `COUNT` successive powers of two.
const fn powers_of_two<const COUNT: usize>(first_exponent: i32) -> [f64; COUNT] {
    let mut powers = [0.0; COUNT];
    let mut position = 0;
    while position < COUNT {
        powers[position] = exponential::power_of_two(first_exponent + position as i32);
        position += 1;
    }
    powers
}

/// Label names, and all series where they are closed by type.
type Labels = (&'static [&'static str], Option<fn() -> Vec<SeriesLabels>>);

/// Declares one metric; `L` is its label set.
pub struct Metric<L, K> {
    description: MetricDescription,
    types: PhantomData<fn(L, K)>,
}

/// Marks a [`Metric`] as a counter.
pub enum IsCounter {}
/// Marks a [`Metric`] as an up-down counter.
pub enum IsUpDownCounter {}
/// Marks a [`Metric`] as a gauge.
pub enum IsGauge {}
/// Marks a [`Metric`] as a histogram of durations.
pub enum IsHistogram {}

/// A declared counter.
pub type CounterMetric<L = ()> = Metric<L, IsCounter>;
/// A declared up-down counter.
pub type UpDownCounterMetric<L = ()> = Metric<L, IsUpDownCounter>;
/// A declared gauge.
pub type GaugeMetric<L = ()> = Metric<L, IsGauge>;
/// A declared histogram.
pub type HistogramMetric<L = ()> = Metric<L, IsHistogram>;

impl<L, K> Metric<L, K> {
    /// Returns the declaration without its label type.
    pub const fn description(&self) -> MetricDescription {
        self.description
    }

    /// Declares that operations record the metric, so that their spans and lines have its labels.
    #[must_use]
    pub const fn of_operations(mut self) -> Self {
        self.description.carrier = Carrier::Spans;
        self
    }

    const fn new(
        name: &'static str,
        kind: MetricKind,
        unit: Unit,
        help: &'static str,
        question: &'static str,
        labels: Labels,
        bounds: &'static [f64],
    ) -> Self {
        let (label_keys, all_series) = labels;
        let carrier = Carrier::Points;
        let description =
            MetricDescription { name, kind, unit, help, question, label_keys, all_series, carrier, bounds };
        Self { description, types: PhantomData }
    }
}

impl<L: LabelSet> HistogramMetric<L> {
    /// Adds labels that only series of failures have. Those begin with the first failure, with values
    /// from closed sets. `label_keys` names all labels, those of `L` first.
    #[must_use]
    pub const fn with_failures(mut self, label_keys: &'static [&'static str]) -> Self {
        self.description.label_keys = label_keys;
        self
    }
}

impl<L: LabelSet> CounterMetric<L> {
    /// Declares a counter.
    pub const fn counter(name: &'static str, unit: Unit, help: &'static str, question: &'static str) -> Self {
        Self::new(name, MetricKind::Counter, unit, help, question, (L::KEYS, Some(L::all_series)), &[])
    }

    /// Declares the counter of a business fact, whose line has the counter's name and labels.
    pub const fn fact(name: &'static str, unit: Unit, help: &'static str, question: &'static str) -> Self {
        let mut metric = Self::counter(name, unit, help, question);
        metric.description.carrier = Carrier::Lines;
        metric
    }
}

impl<L: LabelSet> UpDownCounterMetric<L> {
    /// Declares an up-down counter.
    pub const fn up_down_counter(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        question: &'static str,
    ) -> Self {
        Self::new(name, MetricKind::UpDownCounter, unit, help, question, (L::KEYS, Some(L::all_series)), &[])
    }
}

impl<L: LabelSet> GaugeMetric<L> {
    /// Declares a gauge.
    pub const fn gauge(name: &'static str, unit: Unit, help: &'static str, question: &'static str) -> Self {
        Self::new(name, MetricKind::Gauge, unit, help, question, (L::KEYS, Some(L::all_series)), &[])
    }
}

impl<L: LabelSet> HistogramMetric<L> {
    /// Declares a histogram of durations in seconds.
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        question: &'static str,
        bounds: &'static [f64],
    ) -> Self {
        let labels = (L::KEYS, Some(L::all_series as fn() -> Vec<SeriesLabels>));
        Self::new(name, MetricKind::Histogram, Unit::Seconds, help, question, labels, bounds)
    }
}

/// Marks labels that are closed at start rather than at compile time, such as HTTP routes.
pub enum ClosedAtStart {}

impl<K> Metric<ClosedAtStart, K> {
    /// Declares a metric whose series are created one by one at start.
    pub const fn closed_at_start(
        name: &'static str,
        kind: MetricKind,
        unit: Unit,
        help: &'static str,
        question: &'static str,
        label_keys: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        Self::new(name, kind, unit, help, question, (label_keys, None), bounds)
    }
}

/// Declares metrics, and a list of them that misses none.
///
/// ```
/// use signal::metric::{CounterMetric, Unit};
///
/// signal::metrics! {
///     /// Everything about the weather.
///     pub const WEATHER;
///
///     /// Rain drops.
///     pub const DROPS: CounterMetric =
///         CounterMetric::counter("weather.drops", Unit::Count("{drop}"), "Rain drops.", "Does it rain?");
/// }
///
/// assert_eq!(WEATHER[0].name, DROPS.description().name);
/// ```
#[macro_export]
macro_rules! metrics {
    (
        $(#[$about:meta])*
        $visibility:vis const $list:ident;
        $($(#[$meta:meta])* pub const $name:ident: $type:ty = $declaration:expr;)+
    ) => {
        $($(#[$meta])* pub const $name: $type = $declaration;)+
        $(#[$about])*
        $visibility const $list: &[$crate::metric::MetricDescription] = &[$($name.description()),+];
    };
}
