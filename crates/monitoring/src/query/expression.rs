//! PromQL as data: the expressions that queries of panels and rules are made of.
//!
//! [`Display`](std::fmt::Display) renders the text for Prometheus; the console evaluates the same tree.

use std::time::Duration;

use super::window::Window;

/// A PromQL expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A scalar literal, such as `0.95`.
    Number(f64),
    /// Grafana's variable for the interval between two points of a panel, in milliseconds.
    IntervalMilliseconds,
    /// The time of the evaluation as a Unix time in seconds.
    Time,
    /// A vector with one sample, this number, without labels.
    Constant(f64),
    /// The newest sample of each selected series.
    Instant(Selection),
    /// A function of the samples of each selected series within a window.
    Range {
        /// `rate`, `increase`, or a function such as `max_over_time`.
        function: RangeFunction,
        /// Series whose samples it reads.
        of: Selection,
        /// The window, which ends at the time of the evaluation.
        window: Window,
    },
    /// The time of the newest sample of each selected series.
    Timestamp(Selection),
    /// A number computed from each histogram.
    Histogram {
        /// Count, sum, quantile, or share of the observations above a value.
        function: HistogramFunction,
        /// Native histograms. Samples of other kinds are left out.
        of: Box<Self>,
    },
    /// The samples with this label added or replaced.
    Labelled {
        /// The samples.
        of: Box<Self>,
        /// Name of the label.
        label: String,
        /// The text that all samples get.
        value: String,
    },
    /// One sample for each group of samples.
    Aggregate {
        /// `sum`, `min`, `max`, `count` or `topk`.
        aggregation: Aggregation,
        /// Labels that distinguish the groups. If there are none, all samples form one group.
        by: Vec<String>,
        /// The samples.
        of: Box<Self>,
    },
    /// An operation on the samples of two expressions.
    Binary {
        /// Left operand.
        left: Box<Self>,
        /// Arithmetic, comparison or set operation.
        operator: Operator,
        /// Labels by which samples of both sides match: `on (…)`. `None` means all labels.
        on: Option<Vec<String>>,
        /// Right operand.
        right: Box<Self>,
    },
    /// The same expression in parentheses.
    Parentheses(Box<Self>),
}

/// A selection of series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Name of the metric as Prometheus spells it.
    pub name: String,
    /// The program that the series come from.
    pub source: Source,
    /// Conditions, all of which must hold.
    pub matchers: Vec<Matcher>,
    /// The `offset`: how long before the evaluation the series are read.
    pub offset: Option<Duration>,
    /// The modifier `@ end()`: if set, every point of a panel reads the series at the end of the range.
    pub at_end: bool,
}

/// The program that series come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Socialize.
    Application,
    /// Rules: recordings, and the states of alerts.
    Rules,
    /// Another program, such as the collector or an exporter.
    Other,
}

/// A condition on the value of a label. A missing label counts as empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Name of the label as Prometheus spells it.
    pub label: String,
    /// The comparison.
    pub operator: MatchOperator,
    /// A value or a regular expression, which may be a variable of Grafana.
    pub value: String,
}

/// A comparison of a label's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOperator {
    /// The value is equal.
    Equal,
    /// The value is different.
    NotEqual,
    /// The whole value matches a regular expression.
    Matches,
    /// The whole value does not match a regular expression.
    MatchesNot,
}

/// A function of the samples within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeFunction {
    /// Increase of a counter or histogram per second.
    Rate,
    /// Increase of a counter or histogram.
    Increase,
    /// Mean of the samples.
    Average,
    /// Smallest sample.
    Min,
    /// Largest sample.
    Max,
    /// Sum of the samples.
    Sum,
    /// Number of samples.
    Count,
    /// Number of changes of the value.
    Changes,
    /// 1 if no series has a sample.
    Absent,
    /// Value this many seconds after the evaluation, predicted by linear regression of the samples.
    Predict(u64),
}

/// A number that is taken out of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HistogramFunction {
    /// Number of observations.
    Count,
    /// Sum of all observed values.
    Sum,
    /// Quantile: the value that this share of the observations does not exceed.
    Quantile(f64),
    /// The share of observations above a value.
    FractionAbove(f64),
}

/// An aggregation of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// Sum of the values.
    Sum,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Number of samples.
    Count,
    /// This many samples with the largest values.
    Largest(u8),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    DividedBy,
    /// `>`: keeps values above the right side.
    Above,
    /// `>=`: keeps values at or above it.
    AtLeast,
    /// `<`: keeps values below it.
    Below,
    /// `==`: keeps values equal to it.
    Equals,
    /// `and`: keeps series that the right side also has.
    And,
    /// `or`: adds series that only the right side has.
    Or,
    /// `unless`: keeps series that the right side does not have.
    Unless,
}

impl Expression {
    /// Returns this expression in parentheses.
    #[must_use]
    pub fn in_parentheses(self) -> Self {
        Self::Parentheses(Box::new(self))
    }

    /// Combines two expressions whose samples match by all labels.
    #[must_use]
    pub fn binary(self, operator: Operator, right: Self) -> Self {
        Self::Binary { left: Box::new(self), operator, on: None, right: Box::new(right) }
    }

    /// Combines two expressions whose samples match by these labels.
    #[must_use]
    pub fn binary_on(self, operator: Operator, on: Vec<String>, right: Self) -> Self {
        Self::Binary { left: Box::new(self), operator, on: Some(on), right: Box::new(right) }
    }

    /// Aggregates the samples of each group.
    #[must_use]
    pub fn aggregate(self, aggregation: Aggregation, by: Vec<String>) -> Self {
        Self::Aggregate { aggregation, by, of: Box::new(self) }
    }

    /// Computes a number from each histogram.
    #[must_use]
    pub fn histogram(self, function: HistogramFunction) -> Self {
        Self::Histogram { function, of: Box::new(self) }
    }

    /// Sets a label of the samples.
    #[must_use]
    pub fn labelled(self, label: String, value: &str) -> Self {
        Self::Labelled { of: Box::new(self), label, value: value.to_owned() }
    }

    /// Calls `visit` with this expression and all its subexpressions, outermost first.
    pub fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Number(_)
            | Self::IntervalMilliseconds
            | Self::Time
            | Self::Constant(_)
            | Self::Instant(_)
            | Self::Timestamp(_)
            | Self::Range { .. } => {}
            Self::Histogram { of, .. }
            | Self::Labelled { of, .. }
            | Self::Aggregate { of, .. }
            | Self::Parentheses(of) => of.for_each(visit),
            Self::Binary { left, right, .. } => {
                left.for_each(visit);
                right.for_each(visit);
            }
        }
    }

    /// Calls `visit` with each selection of series.
    pub fn for_each_selection<'a>(&'a self, visit: &mut impl FnMut(&'a Selection)) {
        self.for_each(&mut |part| match part {
            Self::Instant(selection) | Self::Timestamp(selection) | Self::Range { of: selection, .. } => {
                visit(selection);
            }
            _ => {}
        });
    }

    /// Changes each selection of series.
    pub fn change_selections(&mut self, change: &mut impl FnMut(&mut Selection)) {
        match self {
            Self::Number(_) | Self::IntervalMilliseconds | Self::Time | Self::Constant(_) => {}
            Self::Instant(selection) | Self::Timestamp(selection) | Self::Range { of: selection, .. } => {
                change(selection);
            }
            Self::Histogram { of, .. }
            | Self::Labelled { of, .. }
            | Self::Aggregate { of, .. }
            | Self::Parentheses(of) => of.change_selections(change),
            Self::Binary { left, right, .. } => {
                left.change_selections(change);
                right.change_selections(change);
            }
        }
    }
}

impl Matcher {
    /// Returns a condition on the value of a label.
    pub fn new(label: &str, operator: MatchOperator, value: &str) -> Self {
        Self { label: label.to_owned(), operator, value: value.to_owned() }
    }
}

impl Operator {
    /// Returns whether the operator is a comparison, which filters samples by value.
    pub fn compares(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast | Self::Below | Self::Equals)
    }
}
