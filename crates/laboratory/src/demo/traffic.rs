//! Rate, latency and errors of requests, from the server's histogram.

use std::collections::VecDeque;
use std::time::Duration;

use signal::builtin;
use telemetry::meter::{Distribution, Snapshot, Value};

/// Window of rates and quantiles.
const WINDOW: Duration = Duration::from_secs(10);
/// Length of the history of rates, in seconds.
const HISTORY: usize = 120;

/// Cumulative counts of completed requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Requests {
    durations: Distribution,
    /// Responses with status 4xx.
    refused: u64,
    /// Responses with status 5xx.
    failed: u64,
}

impl Requests {
    pub(super) fn read(snapshot: &Snapshot) -> Self {
        let mut requests = Self::default();
        let name = builtin::HTTP_SERVER_REQUEST_DURATION.description().name;
        let families = snapshot.families.iter().filter(|family| family.description.name == name);
        for (labels, value) in families.flat_map(|family| &family.points) {
            let Value::Distribution(distribution) = value else { continue };
            requests.durations.add_all(distribution);
            let status = labels.iter().find(|(key, _)| *key == "http.response.status_code");
            match status.and_then(|(_, status)| status.chars().next()) {
                Some('4') => requests.refused += distribution.count(),
                Some('5') => requests.failed += distribution.count(),
                _ => {}
            }
        }
        requests
    }

    pub(super) fn count(&self) -> u64 {
        self.durations.count()
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            durations: self.durations.since(&earlier.durations),
            refused: self.refused - earlier.refused,
            failed: self.failed - earlier.failed,
        }
    }

    /// Estimates a quantile of the durations.
    pub(super) fn quantile(&self, quantile: f64) -> Option<Duration> {
        self.durations.quantile(quantile).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// Statistics of recent requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    /// Requests per second.
    pub(super) rate: f64,
    pub(super) p50: Option<Duration>,
    pub(super) p95: Option<Duration>,
    /// Share of failed requests.
    pub(super) failed: f64,
    /// Share of refused requests.
    pub(super) refused: f64,
    /// Requests in each second, oldest first.
    pub(super) history: Vec<u64>,
}

/// Keeps recent samples.
#[derive(Default)]
pub(super) struct TrafficMeter {
    samples: VecDeque<(Duration, Requests)>,
    history: VecDeque<u64>,
    /// Number of seconds in the history, and the count at the end of the last one.
    seconds: (u64, u64),
}

impl TrafficMeter {
    /// Adds a sample, at a time since the start.
    pub(super) fn sample(&mut self, now: Duration, requests: Requests) -> Traffic {
        let (seconds, before) = self.seconds;
        if now.as_secs() > seconds {
            // A late sample stands for all seconds since the one before.
            let elapsed = now.as_secs() - seconds;
            let each = requests.count().saturating_sub(before) / elapsed;
            self.history.extend(std::iter::repeat_n(each, elapsed.min(HISTORY as u64) as usize));
            while self.history.len() > HISTORY {
                self.history.pop_front();
            }
            self.seconds = (now.as_secs(), requests.count());
        }
        while self.samples.len() > 1 && self.samples[1].0 + WINDOW <= now {
            self.samples.pop_front();
        }
        self.samples.push_back((now, requests.clone()));
        let (then, earlier) = &self.samples[0];
        let recent = requests.since(earlier);
        let share = |count: u64| count as f64 / (recent.count().max(1)) as f64;
        let elapsed = (now - *then).as_secs_f64();
        Traffic {
            rate: if elapsed > 0.0 { recent.count() as f64 / elapsed } else { 0.0 },
            p50: recent.quantile(0.5),
            p95: recent.quantile(0.95),
            failed: share(recent.failed),
            refused: share(recent.refused),
            history: self.history.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use signal::exponential;

    use super::*;

    /// `fast` requests that took up to 4 ms, and `slow` ones that took up to 8.
    fn requests(fast: u64, slow: u64) -> Requests {
        let mut durations = Distribution::default();
        for (exponent, count) in [(-8, fast), (-7, slow)] {
            let index = exponential::index(exponential::power_of_two(exponent)).expect("a bucket");
            durations.add(index, count);
        }
        Requests { durations, refused: slow, failed: 0 }
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let milliseconds = |duration: Option<Duration>| duration.expect("requests").as_secs_f64() * 1000.0;
        assert_eq!(requests(0, 0).quantile(0.5), None);
        // In the middle of a bucket that is an eighth of an octave.
        let middle = 1000.0 / 256.0 / (1.0_f64 / 16.0).exp2();
        assert!((milliseconds(requests(100, 0).quantile(0.5)) - middle).abs() < 1e-4);
        assert!((milliseconds(requests(50, 50).quantile(0.75)) - 2.0 * middle).abs() < 1e-4);
        assert!((milliseconds(requests(50, 50).quantile(1.0)) - 1000.0 / 128.0).abs() < 1e-4);
    }

    #[test]
    fn only_the_last_seconds_count() {
        let mut meter = TrafficMeter::default();
        let at = Duration::from_secs;
        meter.sample(at(0), requests(0, 0));
        let traffic = meter.sample(at(2), requests(20, 20));
        assert!((traffic.rate - 20.0).abs() < 1e-9, "{traffic:?}");
        assert!((traffic.refused - 0.5).abs() < 1e-9);
        assert_eq!(traffic.history, [20, 20]);

        meter.sample(at(10), requests(20, 20));
        let traffic = meter.sample(at(20), requests(30, 20));
        assert!((traffic.rate - 1.0).abs() < 1e-9, "{traffic:?}");
        assert!(traffic.refused.abs() < 1e-9);
    }
}
