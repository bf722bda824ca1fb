//! Increase of counters, extrapolated to the whole window.

use std::ops::Range;
use std::sync::Arc;

use super::row::Values;
use super::windows::{Window, Windows, seconds};
use crate::store::metrics::{WindowChange, WindowChanges};

/// If the nearest sample is further from an edge of the window than this many average intervals, the window
/// is not extrapolated to the edge.
const COVERED: f64 = 1.1;

/// Returns the increase of a counter within each window, per second if `per_second` is set.
pub(super) fn numbers(points: &[(i64, f64)], windows: &Windows, per_second: bool) -> Values {
    let resets: Vec<usize> = (1..points.len()).filter(|i| points[*i].1 < points[*i - 1].1).collect();
    let mut result = Values::no_numbers(windows.steps);
    windows.for_each(points, |step, window, inside| {
        let [(first_at, first), .., (last_at, last)] = points[inside.clone()] else { return };
        let mut increase = last - first;
        for reset in within(&resets, &inside) {
            increase += points[resets[reset] - 1].1;
        }
        let before = (increase > 0.0 && first >= 0.0).then(|| first / increase);
        let factor = factor((first_at, last_at), inside.len(), window, before);
        result[step] = increase * if per_second { factor / window.seconds() } else { factor };
    });
    Values::Numbers(result)
}

/// Returns the increase of a histogram within each window, per second if `per_second` is set,
/// without its buckets unless `detailed` is set.
pub(super) fn histograms(
    WindowChanges { times, changes, resets }: WindowChanges,
    windows: &Windows,
    per_second: bool,
    detailed: bool,
) -> Values {
    let reset_at: Vec<usize> = resets.iter().map(|(position, _)| *position).collect();
    let mut result = vec![None; windows.steps];
    let mut changes = changes.into_iter();
    windows.for_each_of(&times, |step, window, inside| {
        if inside.len() < 2 {
            return;
        }
        let Some(WindowChange { first_count, change: mut increase }) = changes.next() else { return };
        for reset in within(&reset_at, &inside) {
            increase.add(&resets[reset].1, 1.0, detailed);
        }
        let before = (increase.count > 0.0 && first_count >= 0.0).then(|| first_count / increase.count);
        let sampled = (times[inside.start], times[inside.end - 1]);
        let factor = factor(sampled, inside.len(), window, before);
        increase.scale(if per_second { factor / window.seconds() } else { factor });
        result[step] = Some(Arc::new(increase));
    });
    Values::Histograms(result)
}

/// Returns which of the resets, given by the positions of the samples after them, are between two samples of a
/// window.
fn within(resets: &[usize], inside: &Range<usize>) -> Range<usize> {
    let from = resets.partition_point(|reset| *reset <= inside.start);
    from..resets.partition_point(|reset| *reset < inside.end).max(from)
}

/// Returns the factor from the increase between two samples to that within the window.
///
/// The increase is extended to an edge of the window if the sample next to it is about one sample interval
/// away or less, and otherwise by half an interval. It is not extended to before the counter was zero:
/// `before` is its first value relative to the increase, for counters.
fn factor(samples: (i64, i64), count: usize, window: Window, before: Option<f64>) -> f64 {
    let (first, last) = samples;
    let sampled = seconds(last - first);
    #[expect(clippy::cast_precision_loss, reason = "windows have few samples")]
    let average = sampled / (count - 1) as f64;
    let threshold = average * COVERED;
    let mut to_start = seconds(first - window.after);
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(before) = before {
        let to_zero = sampled * before;
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let mut to_end = seconds(window.until - last);
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled }
}
