//! Arithmetic of native histograms.

use super::sum::Sum;

pub(super) use crate::store::metrics::Histogram;

/// The largest absolute value that counts as zero. OTLP does not transmit it; this is what Prometheus
/// assumes.
const ZERO_THRESHOLD: f64 = 1e-128;

impl Histogram {
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
        let mut place = 0;
        for &(index, count) in &histogram.buckets {
            while self.buckets.get(place).is_some_and(|(known, _)| *known < index) {
                place += 1;
            }
            match self.buckets.get_mut(place) {
                Some((known, sum)) if *known == index => sum.add(count),
                _ => self.buckets.insert(place, (index, Sum::of(count))),
            }
        }
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
