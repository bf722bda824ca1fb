//! From samples to one series per group, and what can be done with those.

use std::marker::PhantomData;
use std::time::Duration;

use telemetry::catalogue::{Label, prometheus_label};

use super::{Both, Grouping, HasLabel, LabelName, Scale, Total, Window, duration_text};

/// Samples of every process with all their labels. Only metrics with the same labels are combined series by series, each of a process with
/// the same of that process; all others are aggregated first.
pub struct Samples<L> {
    text: String,
    labels: PhantomData<fn(L)>,
}

impl<L> Samples<L> {
    pub(super) fn new(text: String) -> Self {
        Self { text, labels: PhantomData }
    }

    fn total(&self, aggregation: &str) -> Vector<Total> {
        Vector::call(format!("{aggregation}({})", self.text))
    }

    fn by<G: Grouping>(&self, aggregation: &str) -> Vector<G> {
        Vector::call(format!("{aggregation} by ({}) ({})", G::keys().join(", "), self.text))
    }

    fn operand(&self) -> String {
        if self.text.contains(' ') { format!("({})", self.text) } else { self.text.clone() }
    }

    fn with(&self, operator: &str, other: &str) -> Self {
        Self::new(format!("{} {operator} {other}", self.operand()))
    }

    /// What is left, for each series.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.with("-", &other.operand())
    }

    /// The share that each series is of the same series of `whole`.
    #[must_use]
    pub fn share_of(&self, whole: &Self) -> Self {
        self.with("/", &format!("({} > 0)", whole.operand()))
    }

    /// Series above a threshold.
    #[must_use]
    pub fn above(&self, threshold: f64) -> Self {
        self.with(">", &threshold.to_string())
    }

    /// Series below a threshold.
    #[must_use]
    pub fn below(&self, threshold: f64) -> Self {
        self.with("<", &threshold.to_string())
    }

    /// Series that exist in the other as well.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with("and", &other.operand())
    }

    /// Series that do not exist in the other.
    #[must_use]
    pub fn unless(&self, other: &Self) -> Self {
        self.with("unless", &other.operand())
    }

    /// All together.
    pub fn sum(&self) -> Vector<Total> {
        self.total("sum")
    }

    /// The largest.
    pub fn max(&self) -> Vector<Total> {
        self.total("max")
    }

    /// The smallest.
    pub fn min(&self) -> Vector<Total> {
        self.total("min")
    }

    /// How many there are.
    pub fn count(&self) -> Vector<Total> {
        self.total("count")
    }

    /// All together, for each value of a label.
    pub fn sum_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("sum")
    }

    /// The largest, for each value of a label.
    pub fn max_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("max")
    }

    /// The smallest, for each value of a label.
    pub fn min_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("min")
    }

    /// How many there are, for each value of a label.
    pub fn count_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("count")
    }

    /// How many there are, for each combination of two labels.
    pub fn count_by_both<A: LabelName, B: LabelName, P, Q>(&self) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.by("count")
    }

    /// All together, for each combination of two labels.
    pub fn sum_by_both<A: LabelName, B: LabelName, P, Q>(&self) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.by("sum")
    }
}

/// One series for each group of `G`.
pub struct Vector<G> {
    text: String,
    /// Whether it can be an operand without parentheses.
    closed: bool,
    grouping: PhantomData<fn(G)>,
}

impl Vector<Total> {
    /// Always 1.
    pub fn always() -> Self {
        Self::call("vector(1)".to_owned())
    }

    /// Zero where there is nothing.
    pub fn or_zero(&self) -> Self {
        self.with("or", "vector(0)")
    }

    /// The same value under a label, so that results about different metrics can stand beside each other.
    pub fn labelled<A: Label>(&self, value: A) -> Vector<A> {
        let key = prometheus_label(A::KEY);
        Vector::call(format!("label_replace({}, \"{key}\", \"{}\", \"\", \"\")", self.text, value.as_str()))
    }
}

impl<G: Grouping> Vector<G> {
    /// No series.
    pub fn nothing() -> Self {
        Self::operation("vector(0) > 0".to_owned())
    }

    pub(super) fn call(text: String) -> Self {
        Self { text, closed: true, grouping: PhantomData }
    }

    fn operation(text: String) -> Self {
        Self { text, closed: false, grouping: PhantomData }
    }

    fn operand(&self) -> String {
        if self.closed { self.text.clone() } else { format!("({})", self.text) }
    }

    fn with(&self, operator: &str, other: &str) -> Self {
        Self::operation(format!("{} {operator} {other}", self.operand()))
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The sum of both.
    pub fn plus(&self, other: Self) -> Self {
        self.with("+", &other.operand())
    }

    /// What is left.
    pub fn minus(&self, other: Self) -> Self {
        self.with("-", &other.operand())
    }

    /// A multiple.
    pub fn times(&self, factor: f64) -> Self {
        self.with("*", &factor.to_string())
    }

    /// The share that this is of `whole`, and nothing where there is nothing to have a share in.
    pub fn share_of(&self, whole: Self) -> Self {
        self.with("/", &format!("({} > 0)", whole.operand()))
    }

    /// While there is nothing, a zero for the group `none`.
    ///
    /// # Panics
    /// When there are no groups: that is [`or_zero`](Vector::or_zero).
    pub fn or_none(&self) -> Self {
        let keys = G::keys();
        assert!(!keys.is_empty(), "a total has no group that could be called none");
        self.with("or on ()", &format!("label_replace(vector(0), \"{}\", \"none\", \"\", \"\")", keys[0]))
    }

    /// What a share leaves of the whole.
    pub fn rest(&self) -> Self {
        Self::operation(format!("1 - {}", self.operand()))
    }

    /// The groups with the largest values.
    pub fn largest(&self, groups: u8) -> Self {
        Self::call(format!("topk({groups}, {})", self.text))
    }

    /// The seconds since the Unix time that it shows.
    pub fn age(&self) -> Self {
        Self::operation(format!("time() - {}", self.operand()))
    }

    /// The seconds until the Unix time that it shows.
    pub fn until(&self) -> Self {
        Self::operation(format!("{} - time()", self.operand()))
    }

    /// Where it is above.
    pub fn above(&self, threshold: f64) -> Self {
        self.with(">", &threshold.to_string())
    }

    /// Where it is above another.
    pub fn above_that(&self, other: Self) -> Self {
        self.with(">", &other.operand())
    }

    /// The largest of all groups.
    pub fn largest_of_all(&self) -> Vector<Total> {
        Vector::call(format!("max({})", self.text))
    }

    /// How many groups there are.
    pub fn groups(&self) -> Vector<Total> {
        Vector::call(format!("count({})", self.text))
    }

    /// Where it is not below.
    pub fn at_least(&self, threshold: f64) -> Self {
        self.with(">=", &threshold.to_string())
    }

    /// Where it is below.
    pub fn below(&self, threshold: f64) -> Self {
        self.with("<", &threshold.to_string())
    }

    /// Where it is below another.
    pub fn below_that(&self, other: Self) -> Self {
        self.with("<", &other.operand())
    }

    /// Where it is exactly this.
    pub fn equals(&self, value: f64) -> Self {
        self.with("==", &value.to_string())
    }

    /// Where there is a series of the same group in the other.
    pub fn and(&self, other: Self) -> Self {
        self.with(&format!("and on ({})", G::keys().join(", ")), &other.operand())
    }

    /// Where there is no series of the same group in the other.
    pub fn unless(&self, other: Self) -> Self {
        self.with(&format!("unless on ({})", G::keys().join(", ")), &other.operand())
    }

    /// And those of the other whose group has no series here.
    pub fn or(&self, other: Self) -> Self {
        self.with(&format!("or on ({})", G::keys().join(", ")), &other.operand())
    }

    /// While the other has a series at all.
    pub fn when(&self, other: Vector<Total>) -> Self {
        self.with("and on ()", &other.operand())
    }

    /// All groups together.
    pub fn total(&self) -> Vector<Total> {
        Vector::call(format!("sum({})", self.text))
    }

    /// While the other has none.
    pub fn unless_when(&self, other: Vector<Total>) -> Self {
        self.with("unless on ()", &other.operand())
    }
}

/// A rule that keeps the result of a query under a name.
pub struct Recording<G> {
    /// The name, by the convention `level:metric:operation`.
    pub name: &'static str,
    /// What is kept.
    pub query: fn(Scale) -> Vector<G>,
}

impl<G: Grouping> Recording<G> {
    /// What it is now.
    pub fn now(&self) -> Vector<G> {
        Vector::call(self.name.to_owned())
    }

    /// Its mean over a window.
    pub fn average(&self, window: impl Into<Window>) -> Vector<G> {
        Vector::call(format!("avg_over_time({}[{}])", self.name, window.into().text()))
    }

    /// The same, as it was this long ago.
    pub fn average_before(&self, window: Duration, ago: Duration) -> Vector<G> {
        let (window, ago) = (duration_text(window), duration_text(ago));
        Vector::call(format!("avg_over_time({}[{window}] offset {ago})", self.name))
    }

    /// All samples of a window together. Of a rate that is recorded at fixed intervals, the events of the window are this times
    /// the interval, also where the window reaches back before the first sample.
    pub fn total(&self, window: Duration) -> Vector<G> {
        Vector::call(format!("sum_over_time({}[{}])", self.name, duration_text(window)))
    }

    /// How many samples of it a window holds.
    pub fn samples_in(&self, window: impl Into<Window>) -> Vector<G> {
        Vector::call(format!("count_over_time({}[{}])", self.name, window.into().text()))
    }
}
