//! Values at each step from the samples of a series.

use std::sync::Arc;
use std::time::Duration;

use monitoring::query::RangeFunction;

use super::row::Values;
use super::windows::{Windows, seconds};
use super::{Refusal, extrapolate, over_time};
use crate::store::metrics::{Histogram, Points, is_stale};

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
                let newest = points[inside].last().filter(|(_, histogram)| !is_mark(histogram));
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
            if let Some((time, _)) = points[inside].last().filter(|(_, histogram)| !is_mark(histogram)) {
                times[step] = seconds(*time);
            }
        }),
    }
    Values::Numbers(times)
}

/// Removes the marks of a series' end, which windows leave out.
pub(super) fn without_marks(mut points: Points) -> Points {
    match &mut points {
        Points::Numbers(points) => points.retain(|(_, number)| !is_stale(*number)),
        Points::Histograms(points) => points.retain(|(_, histogram)| !is_mark(histogram)),
    }
    points
}

fn is_mark(histogram: &Histogram) -> bool {
    is_stale(histogram.sum)
}

/// Checks that a function is exact although samples before a time were rolled up.
///
/// Rolled-up samples equal those of a scrape every five minutes, so levels and increases are right if the
/// window has at least two. Counts of samples are not.
pub(super) fn check_resolution(
    function: RangeFunction,
    points: &Points,
    window: i64,
    complete_since: i64,
) -> Result<(), Refusal> {
    let first = match points {
        Points::Numbers(points) => points.first().map(|(time, _)| *time),
        Points::Histograms(points) => points.first().map(|(time, _)| *time),
    };
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

/// Evaluates a function of the samples of each window.
pub(super) fn over(function: RangeFunction, points: &Points, windows: &Windows, detailed: bool) -> Values {
    let per_second = function == RangeFunction::Rate;
    let increases = per_second || function == RangeFunction::Increase;
    match points {
        Points::Numbers(points) if increases => extrapolate::numbers(points, windows, per_second),
        Points::Histograms(points) if increases => {
            extrapolate::histograms(points, windows, per_second, detailed)
        }
        Points::Numbers(points) => over_time::numbers(function, points, windows),
        Points::Histograms(points) => over_time::histograms(function, points, windows),
    }
}
