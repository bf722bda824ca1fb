//! Values at each step from the samples of a series.

use std::sync::Arc;
use std::time::Duration;

use monitoring::query::RangeFunction;

use super::row::Values;
use super::windows::{Windows, seconds};
use super::{Refusal, extrapolate, over_time};
use crate::store::metrics::{CounterPoints, Points, is_stale};

/// Shortest window of rolled-up data, in milliseconds: it contains two samples.
pub(super) const SHORTEST_ROLLED_UP: i64 = 10 * 60 * 1000;

/// Returns the newest sample of each window.
pub(super) fn newest(points: &Points, windows: &Windows) -> Values {
    match points {
        Points::Numbers(points) => {
            let mut numbers = Values::no_numbers(windows.steps);
            windows.for_each(points, |step, _, inside| {
                if let Some((_, number)) = points[inside].last() {
                    // At a mark of the end the result has no value.
                    numbers[step] = *number;
                }
            });
            Values::Numbers(numbers)
        }
        Points::Histograms(points) => {
            let mut histograms = vec![None; windows.steps];
            windows.for_each(points, |step, _, inside| {
                let newest = points[inside].last().filter(|(_, histogram)| !histogram.is_mark());
                histograms[step] = newest.map(|(_, histogram)| Arc::clone(histogram));
            });
            Values::Histograms(histograms)
        }
    }
}

/// Returns the time of the newest sample of each window in seconds.
pub(super) fn times(points: &Points, windows: &Windows) -> Values {
    let mut times = Values::no_numbers(windows.steps);
    match points {
        Points::Numbers(points) => windows.for_each(points, |step, _, inside| {
            if let Some((time, _)) = points[inside].last().filter(|(_, number)| !is_stale(*number)) {
                times[step] = seconds(*time);
            }
        }),
        Points::Histograms(points) => windows.for_each(points, |step, _, inside| {
            if let Some((time, _)) = points[inside].last().filter(|(_, histogram)| !histogram.is_mark()) {
                times[step] = seconds(*time);
            }
        }),
    }
    Values::Numbers(times)
}

/// Returns the time of the oldest sample.
pub(super) fn first(points: &Points) -> Option<i64> {
    match points {
        Points::Numbers(points) => points.first().map(|(time, _)| *time),
        Points::Histograms(points) => points.first().map(|(time, _)| *time),
    }
}

/// Returns the time of the oldest sample of a counter.
pub(super) fn first_of_counter(points: &CounterPoints) -> Option<i64> {
    match points {
        CounterPoints::Numbers(points) => points.first().map(|(time, _)| *time),
        CounterPoints::Histograms(changes) => changes.times.first().copied(),
    }
}

/// Checks that a function is exact although samples before a time were rolled up.
///
/// Rolled-up samples equal those of a scrape every five minutes, so levels and increases are right if the
/// window has at least two. Counts of samples are not.
pub(super) fn check_resolution(
    function: RangeFunction,
    first: Option<i64>,
    window: i64,
    complete_since: i64,
) -> Result<(), Refusal> {
    if first.is_none_or(|first| first >= complete_since) {
        return Ok(());
    }
    match function {
        RangeFunction::Sum | RangeFunction::Count | RangeFunction::Changes => Err(Refusal::RolledUp),
        RangeFunction::Absent => Ok(()),
        _ if window < SHORTEST_ROLLED_UP => Err(Refusal::TooCoarse {
            window: Duration::from_millis(u64::try_from(window).unwrap_or_default()),
        }),
        _ => Ok(()),
    }
}

/// Evaluates a function of the samples of each window, other than the increase.
pub(super) fn over(function: RangeFunction, points: &Points, windows: &Windows) -> Values {
    match points {
        Points::Numbers(points) => over_time::numbers(function, points, windows),
        Points::Histograms(points) => over_time::histograms(function, points, windows),
    }
}

/// Returns the increase of a counter within each window, per second if `per_second` is set.
pub(super) fn increase(points: CounterPoints, windows: &Windows, per_second: bool, detailed: bool) -> Values {
    match points {
        CounterPoints::Numbers(points) => extrapolate::numbers(&points, windows, per_second),
        CounterPoints::Histograms(changes) => extrapolate::histograms(changes, windows, per_second, detailed),
    }
}
