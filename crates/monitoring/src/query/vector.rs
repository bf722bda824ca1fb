//! Aggregation of samples into one series per group, and operations on the results.

use std::marker::PhantomData;

use signal::metric::{Label, prometheus_label};

use super::{Aggregation, Both, Expression, Grouping, HasLabel, LabelName, Operator, Total};

/// Keeps values above zero.
fn above_zero(values: Expression) -> Expression {
    values.binary(Operator::Above, Expression::Number(0.0))
}

/// Samples of every process with all their labels. Two of them can be combined only if their
/// metrics have the same labels; Prometheus then matches series of the same process. Other metrics
/// must be aggregated first.
pub struct Samples<L> {
    expression: Expression,
    labels: PhantomData<fn(L)>,
}

impl<L> Samples<L> {
    pub(super) fn new(expression: Expression) -> Self {
        Self { expression, labels: PhantomData }
    }

    fn total(&self, aggregation: Aggregation) -> Vector<Total> {
        self.by(aggregation)
    }

    pub(super) fn by<G: Grouping>(&self, aggregation: Aggregation) -> Vector<G> {
        Vector::new(self.expression.clone().aggregate(aggregation, G::keys()))
    }

    /// Returns the expression in parentheses if its text has more than one word.
    fn operand(&self) -> Expression {
        let expression = self.expression.clone();
        if expression.to_string().contains(' ') { expression.in_parentheses() } else { expression }
    }

    fn with(&self, operator: Operator, other: Expression) -> Self {
        Self::new(self.operand().binary(operator, other))
    }

    /// Subtracts the other's series from the matching ones.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.with(Operator::Minus, other.operand())
    }

    /// Divides each series by the matching one of `whole`.
    #[must_use]
    pub fn share_of(&self, whole: &Self) -> Self {
        self.with(Operator::DividedBy, above_zero(whole.operand()).in_parentheses())
    }

    /// Divides by `whole`, even if it is zero. Only for use in comparisons, which are false for NaN.
    #[must_use]
    pub fn over(&self, whole: &Self) -> Self {
        self.with(Operator::DividedBy, whole.operand())
    }

    /// Keeps values above a threshold.
    #[must_use]
    pub fn above(&self, threshold: f64) -> Self {
        self.with(Operator::Above, Expression::Number(threshold))
    }

    /// Keeps values below a threshold.
    #[must_use]
    pub fn below(&self, threshold: f64) -> Self {
        self.with(Operator::Below, Expression::Number(threshold))
    }

    /// Keeps series that also exist in the other.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with(Operator::And, other.operand())
    }

    /// Keeps series that do not exist in the other.
    #[must_use]
    pub fn unless(&self, other: &Self) -> Self {
        self.with(Operator::Unless, other.operand())
    }

    /// Sums all series.
    pub fn sum(&self) -> Vector<Total> {
        self.total(Aggregation::Sum)
    }

    /// Returns the maximum of all series.
    pub fn max(&self) -> Vector<Total> {
        self.total(Aggregation::Max)
    }

    /// Returns the minimum of all series.
    pub fn min(&self) -> Vector<Total> {
        self.total(Aggregation::Min)
    }

    /// Returns the number of series.
    pub fn count(&self) -> Vector<Total> {
        self.total(Aggregation::Count)
    }

    /// Sums the series for each value of a label.
    pub fn sum_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by(Aggregation::Sum)
    }

    /// Returns the maximum for each value of a label.
    pub fn max_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by(Aggregation::Max)
    }

    /// Returns the minimum for each value of a label.
    pub fn min_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by(Aggregation::Min)
    }

    /// Counts the series for each value of a label.
    pub fn count_by<A: LabelName, P>(&self) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.by(Aggregation::Count)
    }

    /// Counts the series for each combination of two labels.
    pub fn count_by_both<A: LabelName, B: LabelName, P, Q>(&self) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.by(Aggregation::Count)
    }

    /// Sums the series for each combination of two labels.
    pub fn sum_by_both<A: LabelName, B: LabelName, P, Q>(&self) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.by(Aggregation::Sum)
    }
}

/// One series for each group of `G`.
pub struct Vector<G> {
    expression: Expression,
    grouping: PhantomData<fn(G)>,
}

impl Vector<Total> {
    /// Returns the constant 1.
    pub fn always() -> Self {
        Self::new(Expression::Constant(1.0))
    }

    /// Returns zero if there is no series.
    pub fn or_zero(&self) -> Self {
        self.with(Operator::Or, Expression::Constant(0.0))
    }

    /// Adds a label with this value, so that results about different metrics can be combined.
    pub fn labelled<A: Label>(&self, value: A) -> Vector<A> {
        Vector::new(self.expression.clone().labelled(prometheus_label(A::KEY), value.as_str()))
    }
}

impl<G: Grouping> Vector<G> {
    /// Returns an empty result.
    pub fn nothing() -> Self {
        Self::new(above_zero(Expression::Constant(0.0)))
    }

    pub(super) fn new(expression: Expression) -> Self {
        Self { expression, grouping: PhantomData }
    }

    /// Returns the expression, in parentheses if it is an operation.
    fn operand(&self) -> Expression {
        let expression = self.expression.clone();
        match expression {
            Expression::Binary { .. } => expression.in_parentheses(),
            _ => expression,
        }
    }

    fn with(&self, operator: Operator, other: Expression) -> Self {
        Self::new(self.operand().binary(operator, other))
    }

    fn with_on(&self, operator: Operator, on: Vec<String>, other: Expression) -> Self {
        Self::new(self.operand().binary_on(operator, on, other))
    }

    fn aggregated(&self, aggregation: Aggregation) -> Expression {
        self.expression.clone().aggregate(aggregation, Vec::new())
    }

    /// Returns the query as data.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Returns the query as data.
    pub fn into_expression(self) -> Expression {
        self.expression
    }

    /// Returns the PromQL text.
    pub fn text(&self) -> String {
        self.expression.to_string()
    }

    /// Adds the other's values group by group.
    pub fn plus(&self, other: Self) -> Self {
        self.with(Operator::Plus, other.operand())
    }

    /// Subtracts the other's values group by group.
    pub fn minus(&self, other: Self) -> Self {
        self.with(Operator::Minus, other.operand())
    }

    /// Multiplies by a factor.
    pub fn times(&self, factor: f64) -> Self {
        self.with(Operator::Times, Expression::Number(factor))
    }

    /// Divides by a number.
    pub fn divided_by(&self, divisor: f64) -> Self {
        self.with(Operator::DividedBy, Expression::Number(divisor))
    }

    /// Divides by `whole`. The result is empty where `whole` is not above zero.
    pub fn share_of(&self, whole: Self) -> Self {
        self.with(Operator::DividedBy, above_zero(whole.operand()).in_parentheses())
    }

    /// Divides by `whole`, even if it is zero. Only for use in comparisons, which are false for NaN.
    pub fn over(&self, whole: Self) -> Self {
        self.with(Operator::DividedBy, whole.operand())
    }

    /// Returns a zero for the group `none` while there is no series.
    ///
    /// # Panics
    /// Panics if there are no labels to group by; use [`or_zero`](Vector::or_zero) then.
    pub fn or_none(&self) -> Self {
        let keys = G::keys();
        assert!(!keys.is_empty(), "a total has no group that could be called none");
        let none = Expression::Constant(0.0).labelled(keys[0].clone(), "none");
        self.with_on(Operator::Or, Vec::new(), none)
    }

    /// Returns one minus the share.
    pub fn rest(&self) -> Self {
        Self::new(Expression::Number(1.0).binary(Operator::Minus, self.operand()))
    }

    /// Keeps the groups with the largest values.
    pub fn largest(&self, groups: u8) -> Self {
        Self::new(self.aggregated(Aggregation::Largest(groups)))
    }

    /// Returns the seconds since the value, a Unix time.
    pub fn age(&self) -> Self {
        Self::new(Expression::Time.binary(Operator::Minus, self.operand()))
    }

    /// Returns the seconds from now until the value, a Unix time.
    pub fn until(&self) -> Self {
        self.with(Operator::Minus, Expression::Time)
    }

    /// Keeps values above a threshold.
    pub fn above(&self, threshold: f64) -> Self {
        self.with(Operator::Above, Expression::Number(threshold))
    }

    /// Keeps values above the other's for the same group.
    pub fn above_that(&self, other: Self) -> Self {
        self.with(Operator::Above, other.operand())
    }

    /// Returns the maximum of all groups.
    pub fn largest_of_all(&self) -> Vector<Total> {
        Vector::new(self.aggregated(Aggregation::Max))
    }

    /// Returns the number of groups.
    pub fn groups(&self) -> Vector<Total> {
        Vector::new(self.aggregated(Aggregation::Count))
    }

    /// Keeps values that are not below a threshold.
    pub fn at_least(&self, threshold: f64) -> Self {
        self.with(Operator::AtLeast, Expression::Number(threshold))
    }

    /// Keeps values below a threshold.
    pub fn below(&self, threshold: f64) -> Self {
        self.with(Operator::Below, Expression::Number(threshold))
    }

    /// Keeps values below the other's for the same group.
    pub fn below_that(&self, other: Self) -> Self {
        self.with(Operator::Below, other.operand())
    }

    /// Keeps values that are exactly this.
    pub fn equals(&self, value: f64) -> Self {
        self.with(Operator::Equals, Expression::Number(value))
    }

    /// Keeps groups that also exist in the other.
    pub fn and(&self, other: Self) -> Self {
        self.with_on(Operator::And, G::keys(), other.operand())
    }

    /// Keeps groups that do not exist in the other.
    pub fn unless(&self, other: Self) -> Self {
        self.with_on(Operator::Unless, G::keys(), other.operand())
    }

    /// Adds the groups of the other that are missing here.
    pub fn or(&self, other: Self) -> Self {
        self.with_on(Operator::Or, G::keys(), other.operand())
    }

    /// Keeps all groups while the other has a series.
    pub fn when(&self, other: Vector<Total>) -> Self {
        self.with_on(Operator::And, Vec::new(), other.operand())
    }

    /// Sums all groups.
    pub fn total(&self) -> Vector<Total> {
        Vector::new(self.aggregated(Aggregation::Sum))
    }

    /// Keeps all groups while the other has no series.
    pub fn unless_when(&self, other: Vector<Total>) -> Self {
        self.with_on(Operator::Unless, Vec::new(), other.operand())
    }
}
