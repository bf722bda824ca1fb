//! Selection of a metric's series, and functions that turn them into samples.

use std::marker::PhantomData;
use std::time::Duration;

use signal::metric::{
    IsCounter, IsGauge, IsHistogram, IsUpDownCounter, Label, Metric, MetricDescription, prometheus_label,
};

use super::lines::NAMESPACE;
use super::{
    Aggregation, Both, Expression, Grouping, HasLabel, HistogramFunction, LabelName, MatchOperator, Matcher,
    Operator, RangeFunction, Samples, Selection, Source, Vector, Window,
};

/// A metric for use in queries. Its type says whether the application sends it. This prevents queries about
/// the application from counting series of the same name from another program, such as Alloy's own
/// `http_server_request_duration_seconds`.
pub trait Queried {
    /// The metric's label set.
    type Labels;
    /// The metric's kind: `IsCounter`, `IsUpDownCounter`, `IsGauge` or `IsHistogram`.
    type Kind;
    /// The program that sends it. If it is another program, the metric's name alone must identify it.
    const SOURCE: Source;

    /// Returns the declaration without its types.
    fn description(&self) -> MetricDescription;
}

impl<L, K> Queried for Metric<L, K> {
    type Labels = L;
    type Kind = K;
    const SOURCE: Source = Source::Application;

    fn description(&self) -> MetricDescription {
        self.description()
    }
}

/// A selection of series of a metric with labels `L` and kind `K`.
pub struct Selector<L, K> {
    selection: Selection,
    /// The function that computes a number from each histogram. A native histogram is one series, not one per
    /// bucket.
    of_histogram: Option<HistogramFunction>,
    types: PhantomData<fn(L, K)>,
}

/// Selects all series of a metric, from every process of its program.
pub fn select<M: Queried>(metric: &M) -> Selector<M::Labels, M::Kind> {
    Selector::all(metric.description(), M::SOURCE)
}

/// PromQL matcher for the application's series, whose `job` is built from `service.namespace` and
/// `service.name`.
pub const APPLICATION_SERIES: &str = "job=~\"socialize/.+\"";

/// Returns the matcher for the application's own series. Prometheus builds `job` from
/// `service.namespace` and `service.name`.
fn of_application() -> Matcher {
    Matcher::new("job", MatchOperator::Matches, &format!("{NAMESPACE}/.+"))
}

/// A kind of metric whose current value is meaningful by itself.
pub trait Level {}

impl Level for IsGauge {}
impl Level for IsUpDownCounter {}

/// A limit of durations in seconds that is the bound of a bucket, so that the number of durations above it is
/// exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit(f64);

impl Limit {
    /// Returns a limit of this many seconds, a power of two. In a `const`, any other number does not compile.
    ///
    /// # Panics
    /// Panics if `seconds` is no power of two.
    pub const fn at(seconds: f64) -> Self {
        const MANTISSA: u64 = (1 << (f64::MANTISSA_DIGITS - 1)) - 1;
        assert!(seconds > 0.0 && seconds.to_bits() & MANTISSA == 0, "the limit is no power of two");
        Self(seconds)
    }

    /// Returns the limit in seconds.
    pub const fn seconds(self) -> f64 {
        self.0
    }
}

/// Written by hand, because the derived implementation requires the labels to be `Clone`.
impl<L, K> Clone for Selector<L, K> {
    fn clone(&self) -> Self {
        Self { selection: self.selection.clone(), of_histogram: self.of_histogram, types: PhantomData }
    }
}

impl<L, K> Selector<L, K> {
    pub(super) fn all(metric: MetricDescription, source: Source) -> Self {
        let matchers = if source == Source::Application { vec![of_application()] } else { Vec::new() };
        let name = metric.prometheus_name();
        let selection = Selection { name, source, matchers, offset: None, at_end: false };
        Self { selection, of_histogram: None, types: PhantomData }
    }

    pub(super) fn matching<A: LabelName>(mut self, operator: MatchOperator, value: &str) -> Self {
        self.selection.matchers.push(Matcher::new(&prometheus_label(A::KEY), operator, value));
        self
    }

    fn number<P>(self, of_histogram: HistogramFunction) -> Selector<L, P> {
        Selector { selection: self.selection, of_histogram: Some(of_histogram), types: PhantomData }
    }

    /// Keeps only series with this value.
    #[must_use]
    pub fn is<A: Label, P>(self, value: A) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>(MatchOperator::Equal, value.as_str())
    }

    /// Keeps only series without this value.
    #[must_use]
    pub fn is_not<A: Label, P>(self, value: A) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>(MatchOperator::NotEqual, value.as_str())
    }

    /// Keeps only series with one of these values.
    #[must_use]
    pub fn is_one_of<A: Label, P>(self, values: &[A]) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>(MatchOperator::Matches, &alternatives(values))
    }

    /// Keeps only series with none of these values.
    #[must_use]
    pub fn is_none_of<A: Label, P>(self, values: &[A]) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>(MatchOperator::MatchesNot, &alternatives(values))
    }

    /// Reads the series with this offset into the past.
    #[must_use]
    pub fn offset(mut self, ago: Duration) -> Self {
        self.selection.offset = Some(ago);
        self
    }

    /// Reads the series at the end of the panel's range, at every point of the panel. This makes a selection
    /// based on it constant along the chart.
    #[must_use]
    pub fn at_end(mut self) -> Self {
        self.selection.at_end = true;
        self
    }

    fn instant(&self) -> Expression {
        self.taken_out(Expression::Instant(self.selection.clone()))
    }

    fn over(&self, function: RangeFunction, window: impl Into<Window>) -> Expression {
        let of = self.selection.clone();
        self.taken_out(Expression::Range { function, of, window: window.into() })
    }

    /// Applies the selected function to histograms; returns other samples unchanged.
    fn taken_out(&self, samples: Expression) -> Expression {
        match self.of_histogram {
            Some(function) => samples.histogram(function),
            None => samples,
        }
    }

    /// Returns 1 if no such series had a sample within the window. Telemetry is pushed, so this is the only
    /// sign that a process is gone.
    pub fn absent_over(&self, window: impl Into<Window>) -> Vector<super::Total> {
        Vector::new(self.over(RangeFunction::Absent, window))
    }
}

impl<L, K> Selector<L, K> {
    /// Returns 1 for this value if no series with it had a sample within the window. Prometheus
    /// takes the label from the matcher.
    pub fn absent_for<A: Label, P>(self, value: A, window: impl Into<Window>) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        Vector::new(self.is(value).over(RangeFunction::Absent, window))
    }
}

/// Joins values into a regular expression. They are identifiers, media types or durations; special characters
/// are escaped.
fn alternatives<A: Label>(values: &[A]) -> String {
    let escape = |value: &A| value.as_str().replace('.', "[.]").replace('+', "[+]");
    values.iter().map(escape).collect::<Vec<_>>().join("|")
}

impl<L> Selector<L, IsCounter> {
    /// Returns events per second over a window.
    pub fn rate(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Rate, window))
    }

    /// Returns series that exist now and did not exist at the beginning of a window. Counters of other
    /// programs often start with the first event, which is then no increase. Those of Socialize start at 0.
    /// After an outage of Prometheus every series looks new, so a rule must also check that the target was
    /// scraped at the beginning of the window.
    pub fn began_within(&self, window: Duration) -> Samples<L> {
        let before = self.clone().offset(window);
        Samples::new(self.instant().binary(Operator::Unless, before.instant()))
    }

    /// Returns events between two points of a panel, each event in exactly one bar.
    ///
    /// A plain increase over that time misses events between the last sample of one bar and the first of the
    /// next. With a sample every 15 seconds, that is a quarter of the events of a minute. The window of a
    /// rate reaches back to the sample before the bar.
    pub fn per_bar(&self) -> Samples<L> {
        let milliseconds = self
            .over(RangeFunction::Rate, Window::RateInterval)
            .binary(Operator::Times, Expression::IntervalMilliseconds);
        Samples::new(milliseconds.binary(Operator::DividedBy, Expression::Number(1000.0)))
    }

    /// Returns events within a window.
    pub fn increase(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Increase, window))
    }
}

impl<L, K: Level> Selector<L, K> {
    /// Returns the current values.
    pub fn now(&self) -> Samples<L> {
        Samples::new(self.instant())
    }

    /// Returns the time between the value, a Unix time, and its sample's own time. This way, a process that
    /// has ended does not appear to lag.
    pub fn lag(&self) -> Samples<L> {
        let time = Expression::Timestamp(self.selection.clone());
        Samples::new(time.binary(Operator::Minus, self.instant()))
    }

    /// Returns the ages of values that are recent Unix times. Values of processes that have ended exceed the
    /// limit and are omitted.
    pub fn ages_below(&self, limit: Duration) -> Samples<L> {
        let age = Expression::Time.binary(Operator::Minus, self.instant());
        Samples::new(age.binary(Operator::Below, Expression::Number(limit.as_secs_f64())))
    }

    /// Returns the mean over a window. For a value of 0 or 1, this is the share of time in which it was 1.
    pub fn average(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Average, window))
    }

    /// Returns the minimum within a window.
    pub fn lowest(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Min, window))
    }

    /// Returns the maximum within a window.
    pub fn highest(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Max, window))
    }

    /// Returns the number of changes of the value within a window.
    pub fn changes(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Changes, window))
    }

    /// Returns the value that a linear extrapolation of the window predicts after `ahead`.
    pub fn predicted(&self, window: Duration, ahead: Duration) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Predict(ahead.as_secs()), window))
    }

    /// Returns the number of samples within a window.
    pub fn samples_in(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over(RangeFunction::Count, window))
    }
}

/// Histograms of the application, which are native. Other programs have classic histograms, whose buckets are
/// counters with names of their own.
impl<L> Selector<L, IsHistogram> {
    /// Counts the recorded durations.
    pub fn count(self) -> Selector<L, IsCounter> {
        self.number(HistogramFunction::Count)
    }

    /// Sums the recorded durations, in seconds.
    pub fn seconds(self) -> Selector<L, IsCounter> {
        self.number(HistogramFunction::Sum)
    }

    /// Returns the number per second of durations above a limit. It is NaN while there are series but no
    /// durations; every comparison with NaN is false.
    pub fn rate_above(&self, limit: Limit, window: impl Into<Window>) -> Vector<super::Total> {
        self.above(limit, RangeFunction::Rate, window)
    }

    /// Returns the number of durations above a limit within a window, by a label. Can be NaN, as for
    /// [`rate_above`](Self::rate_above).
    pub fn increase_above_by<A: LabelName, P>(&self, limit: Limit, window: impl Into<Window>) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.above(limit, RangeFunction::Increase, window)
    }

    fn above<G: Grouping>(
        &self,
        limit: Limit,
        function: RangeFunction,
        window: impl Into<Window>,
    ) -> Vector<G> {
        let durations = self.sum::<G>(function, window);
        let share = durations.clone().histogram(HistogramFunction::FractionAbove(limit.seconds()));
        let number = durations.histogram(HistogramFunction::Count);
        Vector::new(share.binary(Operator::Times, number))
    }

    /// Returns the quantile `q` of the durations.
    pub fn quantile(self, q: f64, window: impl Into<Window>) -> Vector<super::Total> {
        self.quantile_of(q, window)
    }

    /// Returns the quantile `q` for each value of a label.
    pub fn quantile_by<A: LabelName, P>(self, q: f64, window: impl Into<Window>) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.quantile_of(q, window)
    }

    /// Returns the quantile `q` for each combination of two labels.
    pub fn quantile_by_both<A: LabelName, B: LabelName, P, Q>(
        self,
        q: f64,
        window: impl Into<Window>,
    ) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.quantile_of(q, window)
    }

    fn quantile_of<G: Grouping>(self, q: f64, window: impl Into<Window>) -> Vector<G> {
        let durations = self.sum::<G>(RangeFunction::Rate, window);
        Vector::new(durations.histogram(HistogramFunction::Quantile(q)))
    }

    /// Returns one histogram for each group.
    fn sum<G: Grouping>(&self, function: RangeFunction, window: impl Into<Window>) -> Expression {
        self.over(function, window).aggregate(Aggregation::Sum, G::keys())
    }

    /// Returns one histogram of all durations, for a heat map.
    pub fn distribution(self, window: impl Into<Window>) -> Distribution {
        Distribution { expression: self.sum::<super::Total>(RangeFunction::Increase, window) }
    }
}

/// A query whose result is a histogram at each point in time.
pub struct Distribution {
    expression: Expression,
}

impl Distribution {
    /// Returns the query as data.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Returns the PromQL text.
    pub fn text(&self) -> String {
        self.expression.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_chosen_by_its_namespace() {
        assert_eq!(of_application().to_string(), APPLICATION_SERIES);
    }
}
