//! Backoff and circuit breaker: the time of the next attempt.

use std::time::Duration;

use tokio::time::Instant;

/// Maximum pause that a collector may request. A longer pause is probably a wrong unit.
const LONGEST_REQUESTED_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Exponential backoff: each pause doubles the one before, up to the longest, minus a random part
/// of up to a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPauses {
    /// Pause after the first failure.
    pub first: Duration,
    /// Upper limit of the pause.
    pub longest: Duration,
}

impl Default for RetryPauses {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl RetryPauses {
    /// Returns the pause after `failures` consecutive failures. `jitter` is a random number from 0
    /// to 1.
    fn after(self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        pause.mul_f64(1.0 - jitter / 2.0)
    }
}

/// Backoff and circuit breaker of one sender.
///
/// The circuit opens when the collector does not respond: no connection, or a timeout. After a
/// pause one request is tried: the circuit is then half-open, for which [`Pacing::is_open`] still
/// returns true. Any response closes it. A response that asks to retry later causes a pause but
/// does not open the circuit.
pub(super) struct Pacing {
    pauses: RetryPauses,
    failures_in_a_row: u32,
    resume_at: Option<Instant>,
    open: bool,
}

impl Pacing {
    pub(super) fn new(pauses: RetryPauses) -> Self {
        Self { pauses, failures_in_a_row: 0, resume_at: None, open: false }
    }

    /// Records that the collector accepted the request or rejected it permanently. The next one may
    /// follow immediately.
    pub(super) fn settled(&mut self) {
        *self = Self::new(self.pauses);
    }

    /// Records that the collector asked to retry later, perhaps after a requested pause.
    pub(super) fn asked_to_wait(&mut self, now: Instant, requested: Option<Duration>, jitter: f64) {
        self.open = false;
        let requested = requested.unwrap_or_default().min(LONGEST_REQUESTED_PAUSE);
        self.pause(now, requested, jitter);
    }

    /// Records that the collector did not respond.
    pub(super) fn got_no_response(&mut self, now: Instant, jitter: f64) {
        self.open = true;
        self.pause(now, Duration::ZERO, jitter);
    }

    fn pause(&mut self, now: Instant, at_least: Duration, jitter: f64) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.resume_at = Some(now + self.pauses.after(self.failures_in_a_row, jitter).max(at_least));
    }

    /// Returns the end of the current pause, or `None` if there is none.
    pub(super) fn resume_at(&self) -> Option<Instant> {
        self.resume_at
    }

    pub(super) fn may_send(&self, now: Instant) -> bool {
        self.resume_at.is_none_or(|resume_at| resume_at <= now)
    }

    /// Returns whether the last attempt got no response.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: RetryPauses =
        RetryPauses { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

    #[test]
    fn pauses_double_up_to_the_longest_and_lose_at_most_a_half() {
        let table = [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 30.0), (7, 30.0), (u32::MAX, 30.0)];
        for (failures, seconds) in table {
            assert_eq!(
                PAUSES.after(failures, 0.0),
                Duration::from_secs_f64(seconds),
                "after {failures} failures"
            );
            assert_eq!(
                PAUSES.after(failures, 1.0),
                Duration::from_secs_f64(seconds / 2.0),
                "after {failures} failures"
            );
        }
    }

    #[test]
    fn a_requested_pause_is_kept_but_bounded() {
        let now = Instant::now();
        let mut pacing = Pacing::new(PAUSES);
        pacing.asked_to_wait(now, Some(Duration::from_secs(7)), 0.3);
        assert_eq!(pacing.resume_at(), Some(now + Duration::from_secs(7)));
        pacing.asked_to_wait(now, Some(Duration::from_secs(86_400)), 0.3);
        assert_eq!(pacing.resume_at(), Some(now + LONGEST_REQUESTED_PAUSE));
        pacing.asked_to_wait(now, Some(Duration::ZERO), 0.0);
        assert_eq!(pacing.resume_at(), Some(now + Duration::from_secs(4)), "its own pause grew meanwhile");
        assert!(!pacing.is_open());
    }

    #[test]
    fn the_circuit_opens_without_a_response_and_closes_with_any() {
        let now = Instant::now();
        let mut pacing = Pacing::new(PAUSES);
        assert!(pacing.may_send(now) && !pacing.is_open());

        pacing.got_no_response(now, 0.0);
        assert!(pacing.is_open() && !pacing.may_send(now));
        let half_open_at = now + Duration::from_secs(1);
        assert!(pacing.is_open() && pacing.may_send(half_open_at));

        pacing.got_no_response(half_open_at, 0.0);
        assert_eq!(pacing.resume_at(), Some(half_open_at + Duration::from_secs(2)), "the pause grows");

        pacing.asked_to_wait(half_open_at, None, 0.0);
        assert!(!pacing.is_open() && !pacing.may_send(half_open_at));
        pacing.settled();
        assert!(!pacing.is_open() && pacing.may_send(half_open_at));
    }
}
