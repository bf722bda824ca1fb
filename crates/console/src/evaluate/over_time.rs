//! Functions of the samples within a window, other than the increase of counters.

use std::sync::Arc;

use monitoring::query::RangeFunction;

use super::histogram::{Histogram, HistogramSum};
use super::row::Values;
use super::sum::{Sum, mean};
use super::windows::{Windows, seconds};

type Number = (i64, f64);

/// Evaluates a function of numbers for each window.
pub(super) fn numbers(function: RangeFunction, points: &[Number], windows: &Windows) -> Values {
    let mut result = Values::no_numbers(windows.steps);
    windows.for_each(points, |step, _, inside| {
        let samples = &points[inside];
        if samples.is_empty() {
            return;
        }
        let values = samples.iter().map(|(_, value)| *value);
        result[step] = match function {
            RangeFunction::Average => mean(values),
            RangeFunction::Sum => values.collect::<Sum>().value(),
            RangeFunction::Min => extreme(values, |a, b| a < b),
            RangeFunction::Max => extreme(values, |a, b| a > b),
            RangeFunction::Count => number(samples.len()),
            RangeFunction::Changes => {
                let changed = |pair: &&[Number]| {
                    let (before, after) = (pair[0].1, pair[1].1);
                    before != after && !(before.is_nan() && after.is_nan())
                };
                number(samples.windows(2).filter(changed).count())
            }
            RangeFunction::Absent => 1.0,
            RangeFunction::Predict(_) if samples.len() < 2 => return,
            RangeFunction::Predict(ahead) => predict(samples, windows.range.at(step), ahead),
            RangeFunction::Rate | RangeFunction::Increase => return,
        };
    });
    Values::Numbers(result)
}

/// Evaluates a function of histograms for each window. Functions that are not defined for histograms return
/// nothing.
pub(super) fn histograms(
    function: RangeFunction,
    points: &[(i64, Arc<Histogram>)],
    windows: &Windows,
) -> Values {
    if matches!(function, RangeFunction::Average | RangeFunction::Sum) {
        return sums(function == RangeFunction::Average, points, windows);
    }
    let mut result = Values::no_numbers(windows.steps);
    windows.for_each(points, |step, _, inside| {
        let samples = &points[inside];
        if samples.is_empty() {
            return;
        }
        result[step] = match function {
            RangeFunction::Count => number(samples.len()),
            RangeFunction::Changes => {
                number(samples.windows(2).filter(|pair| !pair[0].1.equals(&pair[1].1)).count())
            }
            RangeFunction::Absent => 1.0,
            _ => return,
        };
    });
    Values::Numbers(result)
}

fn sums(mean: bool, points: &[(i64, Arc<Histogram>)], windows: &Windows) -> Values {
    let mut result = vec![None; windows.steps];
    windows.for_each(points, |step, _, inside| {
        let samples = &points[inside];
        if samples.is_empty() {
            return;
        }
        let mut sum = HistogramSum::default();
        for (_, histogram) in samples {
            sum.add(histogram);
        }
        let mut value = sum.value();
        if mean {
            value.divide(number(samples.len()));
        }
        result[step] = Some(Arc::new(value));
    });
    Values::Histograms(result)
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples in memory")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// Returns the initial value, which any other value replaces. NaN comes last.
pub(super) fn extreme(values: impl IntoIterator<Item = f64>, comes_before: impl Fn(f64, f64) -> bool) -> f64 {
    values
        .into_iter()
        .reduce(|found, value| if comes_before(value, found) || found.is_nan() { value } else { found })
        .unwrap_or(f64::NAN)
}

/// Returns the value `ahead` seconds after a time on a straight line through samples, by least
/// squares.
fn predict(samples: &[Number], at: i64, ahead: u64) -> f64 {
    let first = samples[0].1;
    if samples.iter().all(|(_, value)| *value == first) {
        return if first.is_infinite() { f64::NAN } else { first };
    }
    let [mut x, mut y, mut xy, mut xx] = [Sum::default(); 4];
    for (time, value) in samples {
        let distance = seconds(time - at);
        x.add(distance);
        y.add(*value);
        xy.add(distance * value);
        xx.add(distance * distance);
    }
    let count = number(samples.len());
    let [x, y, xy, xx] = [x, y, xy, xx].map(Sum::total);
    let slope = (xy - x * y / count) / (xx - x * x / count);
    let intercept = y / count - slope * x / count;
    #[expect(clippy::cast_precision_loss, reason = "seconds ahead are days")]
    let ahead = ahead as f64;
    slope * ahead + intercept
}
