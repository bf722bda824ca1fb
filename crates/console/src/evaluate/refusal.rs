//! Reasons for which an expression has no exact result.

use std::time::Duration;

use crate::store::metrics::Labels;

/// Reason why an expression cannot be answered exactly.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The range has no step.
    #[error("The range is empty. Choose an end after its start.")]
    EmptyRange,
    /// The range has too many steps.
    #[error("The range has more than {most} points. Choose a shorter range or a longer step.")]
    TooManySteps {
        /// The largest number.
        most: i64,
    },
    /// The result would take too much memory.
    #[error("The result has too many series. Choose a route, an instance or a shorter range.")]
    TooLarge,
    /// A window has no length, because a rule has no panel that would determine it.
    #[error("A rule cannot use a panel's window.")]
    NoWindow,
    /// A window is too short for data that was rolled up.
    #[error(
        "Data of that time is kept as one sample per five minutes, and this needs a window of at \
         least ten minutes, not of {} s. Choose a longer or a later range.",
        window.as_secs()
    )]
    TooCoarse {
        /// The window of the query.
        window: Duration,
    },
    /// A function counts samples that were rolled up.
    #[error(
        "Data of that time is kept as one sample per five minutes, so its samples cannot be \
         counted. Choose a later range."
    )]
    RolledUp,
    /// Several series of one side match one series of the other.
    #[error("Several series have the same labels {{{labels}}}, so it is not clear which one to use.")]
    ManyMatches {
        /// The labels by which the sides match.
        labels: String,
    },
    /// A regular expression is invalid.
    #[error("The regular expression for the label {label} is invalid or too long.")]
    Pattern {
        /// Name of the label with the pattern.
        label: String,
    },
    /// The query reads buckets of a classic histogram, which are separate series.
    #[error("Quantiles of histograms with a label \"le\" are not supported, only native histograms.")]
    ClassicHistogram,
    /// A scalar is used where series are needed, or vice versa.
    #[error("The expression uses a number where it needs series.")]
    NotSeries,
    /// Two scalars are compared, which filters nothing.
    #[error("The expression compares two numbers, which has no result.")]
    NotComparable,
}

impl Refusal {
    pub(super) fn many_matches(labels: &Labels) -> Self {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        Self::ManyMatches { labels: labels.join(", ") }
    }
}
