//! Timestamps and durations at one clock read per boundary.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use nix::time::{ClockId, clock_gettime};

use crate::json;

/// A wall-clock time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a timestamp from nanoseconds since the Unix epoch.
    pub fn from_unix_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Returns nanoseconds since the Unix epoch.
    #[inline]
    pub fn unix_nanoseconds(self) -> u64 {
        self.0
    }

    /// Returns the time `nanoseconds` later.
    #[inline]
    pub(crate) fn after(self, nanoseconds: u64) -> Self {
        Self(self.0 + nanoseconds)
    }
}

/// A reading of the monotonic clock in nanoseconds. Unlike an `Instant`, it is compared and
/// subtracted in one instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Monotonic(u64);

impl Monotonic {
    #[inline]
    pub(crate) fn now() -> Self {
        // Cannot fail: every version of Linux has this clock.
        clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_or(Self(0), |now| Self(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64))
    }

    /// Returns the nanoseconds since this reading.
    #[inline]
    pub(crate) fn elapsed(self) -> u64 {
        Self::now().0.saturating_sub(self.0)
    }
}

/// Derives wall-clock time from monotonic readings, so that a start needs one clock read instead of
/// two.
///
/// [`Clock::synchronize`] measures the offset between both clocks again; the log writer calls it
/// several times a second. So a stepped wall clock is followed soon, and a step never affects a
/// duration.
pub(crate) struct Clock {
    /// Offset between the clocks: the wall clock's nanoseconds when the monotonic clock reads zero.
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

/// The first bytes of every log line, up to the microseconds.
const BEGINNING: &[u8; 40] = b"{\"timestamp\":\"1970-01-01T00:00:00.000000";
/// Prefix that is constant within a second.
const SECOND: std::ops::Range<usize> = 14..33;
const MICROSECONDS: std::ops::Range<usize> = 34..40;

/// Caches the text of the last second, because all lines of a busy second share it. Its length is
/// known to the compiler, so appending it takes a few moves and no call.
pub(crate) struct TimestampText {
    second: u64,
    text: [u8; BEGINNING.len()],
}

impl Default for TimestampText {
    fn default() -> Self {
        Self { second: 0, text: *BEGINNING }
    }
}

impl TimestampText {
    /// Begins a line: appends `{"timestamp":"2026-11-23T07:41:00.123456`, which is RFC 3339 in UTC
    /// with microseconds. The caller appends `Z` and the rest of the line.
    #[inline]
    pub(crate) fn begin_line(&mut self, out: &mut Vec<u8>, timestamp: Timestamp) {
        let second = timestamp.0 / 1_000_000_000;
        if second != self.second {
            self.change_second(second);
        }
        let microseconds = (timestamp.0 % 1_000_000_000 / 1_000) as u32;
        self.text[MICROSECONDS].copy_from_slice(&json::eight_digits(microseconds)[2..]);
        out.extend_from_slice(&self.text);
    }

    #[cold]
    fn change_second(&mut self, second: u64) {
        self.second = second;
        // Nanoseconds in 64 bits end in the year 2554, so the length of the text never changes.
        let time = DateTime::from_timestamp(second as i64, 0).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
        self.text[SECOND].copy_from_slice(time.trim_end_matches('Z').as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_with_microseconds() {
        let mut text = TimestampText::default();
        let mut out = Vec::new();
        text.begin_line(&mut out, Timestamp(999));
        text.begin_line(&mut out, Timestamp(1_795_419_660_000_123_456));
        text.begin_line(&mut out, Timestamp(1_795_419_660_999_999_999));
        text.begin_line(&mut out, Timestamp(u64::MAX));
        let expected = [
            r#"{"timestamp":"1970-01-01T00:00:00.000000"#,
            r#"{"timestamp":"2026-11-23T07:41:00.000123"#,
            r#"{"timestamp":"2026-11-23T07:41:00.999999"#,
            r#"{"timestamp":"2554-07-21T23:34:33.709551"#,
        ];
        assert_eq!(String::from_utf8(out).unwrap(), expected.concat());
    }
}
