//! Inputs of an expression: the times of its evaluation and the values of Grafana's variables.

use std::time::Duration;

use super::range::Range;
use super::shared_results::SharedResults;

/// Grafana's lower bound for the window of rates, in samples.
const FEWEST_SAMPLES_OF_RATE: u32 = 4;

/// Prometheus' default for the maximum age of the newest sample of a series.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// Inputs of an expression other than the samples.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The times of the evaluation.
    pub range: Range,
    /// Maximum age of the newest sample of a series.
    pub lookback: Duration,
    /// Grafana's `$__interval`: the interval between two points of a panel.
    pub interval: Duration,
    /// Grafana's `$__rate_interval`.
    pub rate_interval: Duration,
    /// Grafana's `$__range`.
    pub whole_range: Duration,
    /// Returns the regular expression that replaces a variable of the dashboard. A variable without a value
    /// matches everything.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// Results that were computed for other expressions. `None` remembers nothing.
    pub shared: Option<&'a SharedResults>,
}

impl<'a> Context<'a> {
    /// Returns the context of a rule, which is evaluated at one time and has no variables.
    pub fn rule(at: i64) -> Self {
        Self {
            range: Range::instant(at),
            lookback: LOOKBACK,
            interval: Duration::ZERO,
            rate_interval: Duration::ZERO,
            whole_range: Duration::ZERO,
            variables: &|_| None,
            shared: None,
        }
    }

    /// Returns the context of a panel whose series are sampled every `resolution`, with the windows
    /// that Grafana would choose.
    pub fn panel(range: Range, resolution: Duration, variables: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let interval = milliseconds(range.step);
        Self {
            range,
            lookback: LOOKBACK,
            interval,
            rate_interval: (interval + resolution).max(resolution * FEWEST_SAMPLES_OF_RATE),
            whole_range: milliseconds(range.end.saturating_sub(range.start)),
            variables,
            shared: None,
        }
    }
}

fn milliseconds(length: i64) -> Duration {
    Duration::from_millis(u64::try_from(length).unwrap_or(0))
}
