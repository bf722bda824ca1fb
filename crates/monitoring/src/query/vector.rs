//! Aggregation of samples into one series per group, and operations on the results.

use std::marker::PhantomData;
use std::time::Duration;

use signal::metric::{Label, prometheus_label};

use super::{Both, Grouping, HasLabel, LabelName, Scale, Total, Window, duration_text};

/// Samples of every process with all their labels. Two of them can be combined only if their
/// metrics have the same labels; Prometheus then matches series of the same process. Other metrics
/// must be aggregated first.
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

    /// Subtracts the other's series from the matching ones.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.with("-", &other.operand())
    }

    /// Divides each series by the matching one of `whole`.
    #[must_use]
    pub fn share_of(&self, whole: &Self) -> Self {
        self.with("/", &format!("({} > 0)", whole.operand()))
    }

    /// Divides by `whole`, also by zero. Only for comparisons: NaN never passes one.
    #[must_use]
    pub fn over(&self, whole: &Self) -> Self {
        self.with("/", &whole.operand())
    }

    /// Keeps values above a threshold.
    #[must_use]
    pub fn above(&self, threshold: f64) -> Self {
        self.with(">", &threshold.to_string())
    }

    /// Keeps values below a threshold.
    #[must_use]
    pub fn below(&self, threshold: f64) -> Self {
        self.with("<", &threshold.to_string())
    }

    /// Keeps series that also exist in the other.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with("and", &other.operand())
    }

    /// Keeps series that do not exist in the other.
    #[must_use]
    pub fn unless(&self, other: &Self) -> Self {
        self.with("unless", &other.operand())
    }

    /// Sums all series.
    pub fn sum(&self) -> Vector<Total> {
        self.total("sum")
    }

    /// Returns the maximum of all series.
    pub fn max(&self) -> Vector<Total> {
        self.total("max")
    }

    /// Returns the minimum of all series.
    pub fn min(&self) -> Vector<Total> {
        self.total("min")
    }

    /// Returns the number of series.
    pub fn count(&self) -> Vector<Total> {
        self.total("count")
    }

    /// Sums the series for each value of a label.
    pub fn sum_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("sum")
    }

    /// Returns the maximum for each value of a label.
    pub fn max_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("max")
    }

    /// Returns the minimum for each value of a label.
    pub fn min_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("min")
    }

    /// Counts the series for each value of a label.
    pub fn count_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by("count")
    }

    /// Counts the series for each combination of two labels.
    pub fn count_by_both<A: LabelName, B: LabelName, P, Q>(&self) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.by("count")
    }

    /// Sums the series for each combination of two labels.
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
    /// True if the expression can be an operand without parentheses.
    closed: bool,
    grouping: PhantomData<fn(G)>,
}

impl Vector<Total> {
    /// Returns the constant 1.
    pub fn always() -> Self {
        Self::call("vector(1)".to_owned())
    }

    /// Returns zero if there is no series.
    pub fn or_zero(&self) -> Self {
        self.with("or", "vector(0)")
    }

    /// Adds a label with this value, so that results about different metrics can be combined.
    pub fn labelled<A: Label>(&self, value: A) -> Vector<A> {
        let key = prometheus_label(A::KEY);
        Vector::call(format!("label_replace({}, \"{key}\", \"{}\", \"\", \"\")", self.text, value.as_str()))
    }
}

impl<G: Grouping> Vector<G> {
    /// Returns an empty result.
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

    /// Returns the PromQL text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds the other's values group by group.
    pub fn plus(&self, other: Self) -> Self {
        self.with("+", &other.operand())
    }

    /// Subtracts the other's values group by group.
    pub fn minus(&self, other: Self) -> Self {
        self.with("-", &other.operand())
    }

    /// Multiplies by a factor.
    pub fn times(&self, factor: f64) -> Self {
        self.with("*", &factor.to_string())
    }

    /// Divides by a number.
    pub fn divided_by(&self, divisor: f64) -> Self {
        self.with("/", &divisor.to_string())
    }

    /// Multiplies by the other's values group by group.
    pub(super) fn multiplied_by(&self, other: Self) -> Self {
        self.with("*", &other.operand())
    }

    /// Divides by `whole`. The result is empty where `whole` is not above zero.
    pub fn share_of(&self, whole: Self) -> Self {
        self.with("/", &format!("({} > 0)", whole.operand()))
    }

    /// Divides by `whole`, also by zero. Only for comparisons: NaN never passes one.
    pub fn over(&self, whole: Self) -> Self {
        self.with("/", &whole.operand())
    }

    /// Returns a zero for the group `none` while there is no series.
    ///
    /// # Panics
    /// Panics if there are no labels to group by; use [`or_zero`](Vector::or_zero) then.
    pub fn or_none(&self) -> Self {
        let keys = G::keys();
        assert!(!keys.is_empty(), "a total has no group that could be called none");
        self.with("or on ()", &format!("label_replace(vector(0), \"{}\", \"none\", \"\", \"\")", keys[0]))
    }

    /// Returns one minus the share.
    pub fn rest(&self) -> Self {
        Self::operation(format!("1 - {}", self.operand()))
    }

    /// Keeps the groups with the largest values.
    pub fn largest(&self, groups: u8) -> Self {
        Self::call(format!("topk({groups}, {})", self.text))
    }

    /// Returns the seconds since the Unix time that is the value.
    pub fn age(&self) -> Self {
        Self::operation(format!("time() - {}", self.operand()))
    }

    /// Returns the seconds until the Unix time that is the value.
    pub fn until(&self) -> Self {
        Self::operation(format!("{} - time()", self.operand()))
    }

    /// Keeps values above a threshold.
    pub fn above(&self, threshold: f64) -> Self {
        self.with(">", &threshold.to_string())
    }

    /// Keeps values above the other's for the same group.
    pub fn above_that(&self, other: Self) -> Self {
        self.with(">", &other.operand())
    }

    /// Returns the maximum of all groups.
    pub fn largest_of_all(&self) -> Vector<Total> {
        Vector::call(format!("max({})", self.text))
    }

    /// Returns the number of groups.
    pub fn groups(&self) -> Vector<Total> {
        Vector::call(format!("count({})", self.text))
    }

    /// Keeps values that are not below a threshold.
    pub fn at_least(&self, threshold: f64) -> Self {
        self.with(">=", &threshold.to_string())
    }

    /// Keeps values below a threshold.
    pub fn below(&self, threshold: f64) -> Self {
        self.with("<", &threshold.to_string())
    }

    /// Keeps values below the other's for the same group.
    pub fn below_that(&self, other: Self) -> Self {
        self.with("<", &other.operand())
    }

    /// Keeps values that are exactly this.
    pub fn equals(&self, value: f64) -> Self {
        self.with("==", &value.to_string())
    }

    /// Keeps groups that also exist in the other.
    pub fn and(&self, other: Self) -> Self {
        self.with(&format!("and on ({})", G::keys().join(", ")), &other.operand())
    }

    /// Keeps groups that do not exist in the other.
    pub fn unless(&self, other: Self) -> Self {
        self.with(&format!("unless on ({})", G::keys().join(", ")), &other.operand())
    }

    /// Adds those groups of the other that do not exist here.
    pub fn or(&self, other: Self) -> Self {
        self.with(&format!("or on ({})", G::keys().join(", ")), &other.operand())
    }

    /// Keeps all groups while the other has a series.
    pub fn when(&self, other: Vector<Total>) -> Self {
        self.with("and on ()", &other.operand())
    }

    /// Sums all groups.
    pub fn total(&self) -> Vector<Total> {
        Vector::call(format!("sum({})", self.text))
    }

    /// Keeps all groups while the other has no series.
    pub fn unless_when(&self, other: Vector<Total>) -> Self {
        self.with("unless on ()", &other.operand())
    }
}

/// A recording rule, which stores the result of a query under a name.
pub struct Recording<G> {
    /// Name by the convention `level:metric:operation`.
    pub name: &'static str,
    /// Query whose result is stored.
    pub query: fn(Scale) -> Vector<G>,
}

impl<G: Grouping> Recording<G> {
    /// Reads the current values.
    pub fn now(&self) -> Vector<G> {
        Vector::call(self.name.to_owned())
    }

    /// Returns the mean over a window.
    pub fn average(&self, window: impl Into<Window>) -> Vector<G> {
        Vector::call(format!("avg_over_time({}[{}])", self.name, window.into().text()))
    }

    /// Returns the mean over a window, as it was this long ago.
    pub fn average_before(&self, window: Duration, ago: Duration) -> Vector<G> {
        let (window, ago) = (duration_text(window), duration_text(ago));
        Vector::call(format!("avg_over_time({}[{window}] offset {ago})", self.name))
    }

    /// Sums all samples within a window. For a rate recorded at fixed intervals, this sum times the
    /// interval is the number of events, even if the window reaches back before the first sample.
    pub fn total(&self, window: Duration) -> Vector<G> {
        Vector::call(format!("sum_over_time({}[{}])", self.name, duration_text(window)))
    }

    /// Returns the number of samples within a window.
    pub fn samples_in(&self, window: impl Into<Window>) -> Vector<G> {
        Vector::call(format!("count_over_time({}[{}])", self.name, window.into().text()))
    }
}
