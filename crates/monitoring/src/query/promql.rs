//! Expressions as text.

use std::fmt;

use super::duration::duration_text;
use super::expression::{
    Aggregation, Expression, HistogramFunction, MatchOperator, Matcher, Operator, RangeFunction, Selection,
};
use super::window::Window;

impl Selection {
    /// Writes the selection, with its window if it has one.
    fn write(&self, f: &mut fmt::Formatter<'_>, window: Option<Window>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (position, matcher) in self.matchers.iter().enumerate() {
            f.write_str(if position == 0 { "{" } else { "," })?;
            write!(f, "{matcher}")?;
        }
        if !self.matchers.is_empty() {
            f.write_str("}")?;
        }
        if let Some(window) = window {
            write!(f, "[{}]", window.text())?;
        }
        if self.at_end {
            f.write_str(" @ end()")?;
        }
        match self.offset {
            Some(ago) => write!(f, " offset {}", duration_text(ago)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl MatchOperator {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}\"{}\"", self.label, self.operator.symbol(), self.value)
    }
}

impl RangeFunction {
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Increase => "increase",
            Self::Average => "avg_over_time",
            Self::Min => "min_over_time",
            Self::Max => "max_over_time",
            Self::Sum => "sum_over_time",
            Self::Count => "count_over_time",
            Self::Changes => "changes",
            Self::Absent => "absent_over_time",
            Self::Predict(_) => "predict_linear",
        }
    }
}

impl Operator {
    fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::DividedBy => "/",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::Equals => "==",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::IntervalMilliseconds => f.write_str("$__interval_ms"),
            Self::Time => f.write_str("time()"),
            Self::Constant(number) => write!(f, "vector({number})"),
            Self::Instant(selection) => write!(f, "{selection}"),
            Self::Range { function, of, window } => {
                write!(f, "{}(", function.name())?;
                of.write(f, Some(*window))?;
                match function {
                    RangeFunction::Predict(seconds) => write!(f, ", {seconds})"),
                    _ => f.write_str(")"),
                }
            }
            Self::Timestamp(selection) => write!(f, "timestamp({selection})"),
            Self::Histogram { function, of } => match function {
                HistogramFunction::Count => write!(f, "histogram_count({of})"),
                HistogramFunction::Sum => write!(f, "histogram_sum({of})"),
                HistogramFunction::Quantile(q) => write!(f, "histogram_quantile({q}, {of})"),
                HistogramFunction::FractionAbove(limit) => {
                    write!(f, "histogram_fraction({limit}, +Inf, {of})")
                }
            },
            Self::Labelled { of, label, value } => {
                write!(f, "label_replace({of}, \"{label}\", \"{value}\", \"\", \"\")")
            }
            Self::Aggregate { aggregation, by, of } => {
                let name = match aggregation {
                    Aggregation::Sum => "sum",
                    Aggregation::Min => "min",
                    Aggregation::Max => "max",
                    Aggregation::Count => "count",
                    Aggregation::Largest(_) => "topk",
                };
                f.write_str(name)?;
                if !by.is_empty() {
                    write!(f, " by ({}) ", by.join(", "))?;
                }
                match aggregation {
                    Aggregation::Largest(most) => write!(f, "({most}, {of})"),
                    _ => write!(f, "({of})"),
                }
            }
            Self::Binary { left, operator, on, right } => {
                write!(f, "{left} {}", operator.symbol())?;
                if let Some(on) = on {
                    write!(f, " on ({})", on.join(", "))?;
                }
                write!(f, " {right}")
            }
            Self::Parentheses(inside) => write!(f, "({inside})"),
        }
    }
}
