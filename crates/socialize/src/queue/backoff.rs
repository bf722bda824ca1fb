//! Delay of a failed job's next attempt.

use std::time::Duration;

/// Delay after the first failure. Short, because a user may be waiting for the e-mail.
const FIRST: f64 = 5.0;
/// Growth of the delay, so that twelve attempts span about a day.
const FACTOR: f64 = 3.0;
/// Maximum delay before jitter.
const LONGEST: f64 = 6.0 * 3600.0;

/// Returns the delay after attempt number `attempt` failed. `random`, from 0 to 1, adds a jitter of a quarter
/// to either side, so that jobs that failed together do not return together.
pub fn backoff(attempt: i32, random: f64) -> Duration {
    let seconds = (FIRST * FACTOR.powi(attempt.clamp(1, 100) - 1)).min(LONGEST);
    let jitter = 0.75 + 0.5 * random.clamp(0.0, 1.0);
    Duration::from_secs_f64(seconds * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_are_spread() {
        let middle = |attempt| backoff(attempt, 0.5).as_millis();
        assert_eq!((middle(1), middle(2), middle(3)), (5_000, 15_000, 45_000));
        assert_eq!((middle(9), middle(i32::MAX)), (21_600_000, 21_600_000));
        assert_eq!((middle(0), middle(i32::MIN)), (5_000, 5_000));
        assert_eq!(backoff(1, 0.0).as_millis(), 3_750);
        assert_eq!(backoff(1, 1.0).as_millis(), 6_250);
    }

    #[test]
    fn twelve_attempts_span_about_a_day() {
        let hours = (1..12).map(|attempt| backoff(attempt, 0.5)).sum::<Duration>().as_secs() / 3600;
        assert!((20..=28).contains(&hours), "{hours}");
    }
}
