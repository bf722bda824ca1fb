//! The horizontal axis: ticks at round times.

use crate::calendar;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const STEPS: [i64; 18] = [
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
];

/// A labelled time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Unix time in milliseconds.
    pub at: i64,
    pub label: String,
}

/// Returns at most `most` ticks at round times of a range.
pub fn ticks(from: i64, until: i64, most: u32) -> Vec<Tick> {
    let length = (until - from).max(1);
    let fits = |step: &&i64| length / **step < i64::from(most.max(1));
    let step = STEPS.iter().find(fits).copied().unwrap_or(length);
    let first = from + (step - from.rem_euclid(step)) % step;
    let label = |at: i64| match at.rem_euclid(DAY) {
        0 => calendar::day(at),
        _ if step < MINUTE => calendar::clock_with_seconds(at),
        _ => calendar::clock(at),
    };
    (0..)
        .map(|index| first + index * step)
        .take_while(|at| *at <= until)
        .map(|at| Tick { at, label: label(at) })
        .collect()
}

/// Returns a round interval that divides a range into at most `most` points.
pub fn point_distance(length: i64, most: i64) -> i64 {
    const DISTANCES: [i64; 20] = [
        15 * SECOND,
        30 * SECOND,
        MINUTE,
        2 * MINUTE,
        3 * MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        15 * MINUTE,
        20 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        4 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        7 * DAY,
        30 * DAY,
    ];
    let found = DISTANCES.iter().find(|distance| length / **distance <= most.max(1));
    found.copied().unwrap_or(30 * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_at_round_times() {
        let noon = calendar::parse("2026-11-30T12:00").expect("time");
        let labels = |from, until, most| -> Vec<String> {
            ticks(from, until, most).into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(noon - 7 * MINUTE, noon + 53 * MINUTE, 5), ["12:00", "12:15", "12:30", "12:45"]);
        assert_eq!(labels(noon - 24 * HOUR, noon, 5), ["12:00", "18:00", "30 Nov", "06:00", "12:00"]);
        assert_eq!(labels(noon - 7 * DAY, noon, 4), ["25 Nov", "27 Nov", "29 Nov"]);
        assert_eq!(labels(noon, noon + MINUTE, 3), ["12:00:00", "12:00:30", "12:01:00"]);
    }

    #[test]
    fn points_have_round_distances() {
        let cases =
            [(15 * MINUTE, 15 * SECOND), (6 * HOUR, 2 * MINUTE), (DAY, 5 * MINUTE), (30 * DAY, 3 * HOUR)];
        for (length, distance) in cases {
            assert_eq!(point_distance(length, 300), distance);
        }
    }
}
