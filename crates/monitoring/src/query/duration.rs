//! Durations in PromQL's syntax.

use std::time::Duration;

/// Formats a duration in the largest unit of which it is a whole number: `5m`, `90s`, `1w`.
///
/// # Panics
/// Panics unless the duration is a positive whole number of seconds, like all windows and thresholds here.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    assert!(seconds > 0 && duration.subsec_nanos() == 0, "{duration:?} is not a whole number of seconds");
    let units = [(7 * 24 * 60 * 60, "w"), (24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    match units.iter().find(|(length, _)| seconds.is_multiple_of(*length)) {
        Some((length, unit)) => format!("{}{unit}", seconds / length),
        None => format!("{seconds}s"),
    }
}

/// Acceleration of rules: every window and every pause of a rule is divided by it. Drills use it to test
/// within minutes rules that need days. Thresholds are counts, shares and durations of operations, so they
/// are not scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(u32);

impl Scale {
    /// The scale for operators.
    pub const REAL: Self = Self(1);

    /// Returns a scale that is `factor` times faster.
    ///
    /// # Panics
    /// Panics if the factor is zero.
    pub const fn faster(factor: u32) -> Self {
        assert!(factor > 0, "time cannot stand still");
        Self(factor)
    }

    /// Returns the rate that gives the same number of events within a scaled window.
    pub fn rate(self, rate: f64) -> f64 {
        rate * f64::from(self.0)
    }

    /// Returns a window or pause at this scale, in whole seconds. The minimum is one second, unless
    /// the duration is zero.
    pub fn of(self, duration: Duration) -> Duration {
        Duration::from_secs(duration.as_secs().div_ceil(u64::from(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_durations_are_whole_seconds() {
        let minute = Duration::from_mins(1);
        assert_eq!(Scale::REAL.of(minute), minute);
        assert_eq!(Scale::faster(30).of(minute), Duration::from_secs(2));
        assert_eq!(Scale::faster(100).of(minute), Duration::from_secs(1));
        assert_eq!(Scale::faster(100).of(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn durations_are_spelled_in_the_largest_unit() {
        for (seconds, text) in
            [(1, "1s"), (90, "90s"), (300, "5m"), (10_800, "3h"), (86_400, "1d"), (604_800, "1w")]
        {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
    }
}
