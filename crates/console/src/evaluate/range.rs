//! The times of an evaluation.

use super::Refusal;

/// Maximum number of steps of one evaluation, as in Prometheus.
const MOST_STEPS: i64 = 11_000;

/// The times at which an expression is evaluated, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first time.
    pub start: i64,
    /// End of the range. The last step is at or before it.
    pub end: i64,
    /// Interval between two steps; irrelevant if start and end are equal.
    pub step: i64,
}

impl Range {
    /// Returns a range that is one time.
    pub fn instant(at: i64) -> Self {
        Self { start: at, end: at, step: 1 }
    }

    /// Returns the number of steps.
    ///
    /// # Errors
    /// Fails if there are too many steps, or none.
    pub fn steps(self) -> Result<usize, Refusal> {
        if self.step <= 0 || self.end < self.start {
            return Err(Refusal::EmptyRange);
        }
        let steps = self.end.saturating_sub(self.start) / self.step;
        if steps >= MOST_STEPS {
            return Err(Refusal::TooManySteps { most: MOST_STEPS });
        }
        usize::try_from(steps + 1).map_err(|_| Refusal::EmptyRange)
    }

    /// Returns the time of a step.
    pub(super) fn at(self, step: usize) -> i64 {
        self.start.saturating_add(i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(self.step))
    }
}
