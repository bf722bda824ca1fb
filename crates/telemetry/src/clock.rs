//! Time at one clock read per boundary.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use nix::time::{ClockId, clock_gettime};

use crate::json;

/// A moment on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that lies so many nanoseconds after the beginning of 1970.
    pub fn from_unix_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since 1970.
    #[inline]
    pub fn unix_nanoseconds(self) -> u64 {
        self.0
    }

    /// The moment `nanoseconds` later.
    #[inline]
    pub(crate) fn after(self, nanoseconds: u64) -> Self {
        Self(self.0 + nanoseconds)
    }
}

/// A reading of the monotonic clock in nanoseconds. Unlike an `Instant` it is compared and subtracted in one instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Monotonic(u64);

impl Monotonic {
    #[inline]
    pub(crate) fn now() -> Self {
        // Linux has this clock since it has any, so there is nothing to be done about an error.
        clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_or(Self(0), |now| Self(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64))
    }

    /// Nanoseconds since then.
    #[inline]
    pub(crate) fn elapsed(self) -> u64 {
        Self::now().0.saturating_sub(self.0)
    }
}

/// Tells wall-clock time from monotonic readings, so that a start needs one clock read instead of two.
///
/// The distance between both clocks is measured again by [`Clock::synchronize`], which the log writer calls several times a
/// second, so a stepped wall clock is followed soon and a duration is never affected by it.
pub(crate) struct Clock {
    /// The wall clock's nanoseconds where the monotonic clock has none.
    base_unix_nanoseconds: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let clock = Self { base_unix_nanoseconds: AtomicU64::new(0) };
        clock.synchronize();
        clock
    }

    pub(crate) fn synchronize(&self) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        self.base_unix_nanoseconds.store(wall.saturating_sub(Monotonic::now().0), Relaxed);
    }

    #[inline]
    pub(crate) fn timestamp(&self, at: Monotonic) -> Timestamp {
        Timestamp(self.base_unix_nanoseconds.load(Relaxed) + at.0)
    }
}

/// What every line begins with.
const BEGINNING: &str = "{\"timestamp\":\"";

/// Remembers how a line of the second began that was written last: all lines of a busy second share it.
#[derive(Default)]
pub(crate) struct TimestampText {
    second: u64,
    text: String,
}

impl TimestampText {
    /// Begins a line: appends `{"timestamp":"2026-11-23T07:41:00.123456`. What follows is `Z` and the rest of the line; RFC 3339 in UTC
    /// with microseconds.
    #[inline]
    pub(crate) fn begin_line(&mut self, out: &mut Vec<u8>, timestamp: Timestamp) {
        let second = timestamp.0 / 1_000_000_000;
        if second != self.second || self.text.is_empty() {
            self.second = second;
            let time = DateTime::from_timestamp(second as i64, 0).unwrap_or_default();
            let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
            self.text = format!("{BEGINNING}{}.", time.trim_end_matches('Z'));
        }
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&json::six_digits(timestamp.0 % 1_000_000_000 / 1_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_with_microseconds() {
        let mut text = TimestampText::default();
        let mut out = Vec::new();
        text.begin_line(&mut out, Timestamp(1_795_419_660_000_123_456));
        text.begin_line(&mut out, Timestamp(1_795_419_660_999_999_999));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"timestamp":"2026-11-23T07:41:00.000123{"timestamp":"2026-11-23T07:41:00.999999"#
        );
    }
}
