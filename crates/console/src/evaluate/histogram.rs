//! Arithmetic of native histograms.

use super::sum::Sum;

pub(super) use crate::store::metrics::Histogram;

/// The largest absolute value that counts as zero. OTLP does not transmit it; this is what Prometheus
/// assumes.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Returns whether a histogram was reset between two samples: one of its counts fell.
pub(super) fn is_reset(before: &Histogram, after: &Histogram) -> bool {
    if after.count < before.count || after.zero_count < before.zero_count {
        return true;
    }
    let mut after = after.buckets.iter().copied().peekable();
    before.buckets.iter().any(|&(index, count)| {
        while after.next_if(|(other, _)| *other < index).is_some() {}
        match after.peek() {
            Some((other, now)) if *other == index => *now < count,
            _ => count != 0.0,
        }
    })
}

/// Returns the change from the first sample to the last one. At a reset, the sample before it is
/// added.
pub(super) fn change<'a>(
    first: &Histogram,
    last: &Histogram,
    before_resets: impl Iterator<Item = &'a Histogram>,
    detailed: bool,
) -> Histogram {
    let mut change = if detailed { last.clone() } else { without_buckets(last) };
    change.add(first, -1.0, detailed);
    for before in before_resets {
        change.add(before, 1.0, detailed);
    }
    change
}

/// Returns the histogram without its buckets.
pub(super) fn without_buckets(histogram: &Histogram) -> Histogram {
    Histogram { buckets: Vec::new(), ..*histogram }
}

impl Histogram {
    /// Adds a multiple of another histogram.
    pub(super) fn add(&mut self, other: &Self, times: f64, detailed: bool) {
        self.count += times * other.count;
        self.sum += times * other.sum;
        self.zero_count += times * other.zero_count;
        if detailed {
            let count = |bucket: Option<f64>, other: Option<f64>| {
                bucket.unwrap_or(0.0) + times * other.unwrap_or(0.0)
            };
            self.buckets = merge(&self.buckets, &other.buckets, count);
            self.buckets.retain(|(_, count)| *count != 0.0);
        }
    }

    /// Multiplies all counts and the sum.
    pub(super) fn scale(&mut self, factor: f64) {
        self.each_number(|number| *number *= factor);
    }

    /// Divides all counts and the sum. Division by zero removes all buckets.
    pub(super) fn divide(&mut self, divisor: f64) {
        self.each_number(|number| *number /= divisor);
        if divisor == 0.0 {
            self.buckets.clear();
        }
    }

    fn each_number(&mut self, mut change: impl FnMut(&mut f64)) {
        change(&mut self.count);
        change(&mut self.sum);
        change(&mut self.zero_count);
        for (_, count) in &mut self.buckets {
            change(count);
        }
        self.buckets.retain(|(_, count)| *count != 0.0);
    }

    /// Returns whether two histograms are the same, bit by bit.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_count, other.zero_count)
            && self.buckets.len() == other.buckets.len()
            && self.buckets.iter().zip(&other.buckets).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
    }

    /// Returns the bounds of the zero bucket.
    pub(super) fn zero_bounds(&self) -> (f64, f64) {
        // The lower bound is zero, because no observation is negative.
        let lower = if self.buckets.is_empty() { -ZERO_THRESHOLD } else { 0.0 };
        (lower, ZERO_THRESHOLD)
    }
}

/// Combines the counts of all buckets of either side.
fn merge<A: Copy, B: Copy, C>(
    left: &[(i32, A)],
    right: &[(i32, B)],
    combine: impl Fn(Option<A>, Option<B>) -> C,
) -> Vec<(i32, C)> {
    let mut merged = Vec::with_capacity(left.len().max(right.len()));
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => *a.min(b),
            (Some((index, _)), None) | (None, Some((index, _))) => *index,
            (None, None) => return merged,
        };
        let a = left.next_if(|(index, _)| *index == next).map(|(_, count)| *count);
        let b = right.next_if(|(index, _)| *index == next).map(|(_, count)| *count);
        merged.push((next, combine(a, b)));
    }
}

/// A sum of histograms without rounding errors.
#[derive(Clone, Debug, Default)]
pub(super) struct HistogramSum {
    count: Sum,
    sum: Sum,
    zero_count: Sum,
    buckets: Vec<(i32, Sum)>,
}

impl HistogramSum {
    pub(super) fn add(&mut self, histogram: &Histogram) {
        self.count.add(histogram.count);
        self.sum.add(histogram.sum);
        self.zero_count.add(histogram.zero_count);
        if self.buckets.len() == histogram.buckets.len()
            && self.buckets.iter().zip(&histogram.buckets).all(|(a, b)| a.0 == b.0)
        {
            for ((_, sum), (_, count)) in self.buckets.iter_mut().zip(&histogram.buckets) {
                sum.add(*count);
            }
            return;
        }
        self.buckets = merge(&self.buckets, &histogram.buckets, |sum: Option<Sum>, count| {
            let mut sum = sum.unwrap_or_default();
            sum.add(count.unwrap_or(0.0));
            sum
        });
    }

    pub(super) fn value(&self) -> Histogram {
        let mut buckets: Vec<_> = self.buckets.iter().map(|(index, sum)| (*index, sum.value())).collect();
        buckets.retain(|(_, count)| *count != 0.0);
        Histogram {
            count: self.count.value(),
            sum: self.sum.value(),
            zero_count: self.zero_count.value(),
            buckets,
        }
    }
}
