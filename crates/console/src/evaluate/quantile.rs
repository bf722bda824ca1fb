//! Quantiles and shares of observations, interpolated within buckets.

use signal::exponential::BUCKETS_PER_OCTAVE;

use super::histogram::Histogram;

/// A bucket with observations.
#[derive(Clone, Copy, Debug)]
enum Bucket {
    Zero(f64),
    Positive(i32, f64),
}

impl Bucket {
    fn count(self) -> f64 {
        match self {
            Self::Zero(count) | Self::Positive(_, count) => count,
        }
    }

    /// Returns the value below which this share of the bucket's observations is.
    fn value(self, share: f64, histogram: &Histogram) -> f64 {
        match self {
            Self::Zero(_) => {
                let (lower, upper) = histogram.zero_bounds();
                lower + (upper - lower) * share
            }
            Self::Positive(index, _) => ((f64::from(index) + share) / f64::from(BUCKETS_PER_OCTAVE)).exp2(),
        }
    }

    /// Returns the share of the bucket's observations below a value: zero or less below the bucket, one or
    /// more above it.
    fn share_below(self, value: f64, histogram: &Histogram) -> f64 {
        match self {
            Self::Zero(_) => {
                let (lower, upper) = histogram.zero_bounds();
                (value - lower) / (upper - lower)
            }
            Self::Positive(..) if value <= 0.0 => 0.0,
            Self::Positive(index, _) => value.log2() * f64::from(BUCKETS_PER_OCTAVE) - f64::from(index),
        }
    }
}

/// Returns the buckets with observations by rising values.
fn buckets(histogram: &Histogram) -> impl DoubleEndedIterator<Item = Bucket> {
    let zero = (histogram.zero_count > 0.0).then_some(Bucket::Zero(histogram.zero_count));
    let positive = histogram.buckets.iter().map(|(index, count)| Bucket::Positive(*index, *count));
    zero.into_iter().chain(positive).filter(|bucket| bucket.count() != 0.0)
}

/// Returns the value that the share `quantile` of the observations does not exceed.
pub(super) fn quantile(quantile: f64, histogram: &Histogram) -> f64 {
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    if histogram.count == 0.0 || quantile.is_nan() {
        return f64::NAN;
    }
    // NaN observations are in the total but in no bucket, so counting down from the total would be wrong.
    if histogram.sum.is_nan() || quantile < 0.5 {
        let rank = quantile * histogram.count;
        find(buckets(histogram), rank, histogram, |bucket, count| rank - (count - bucket.count()))
    } else {
        let rank = (1.0 - quantile) * histogram.count;
        find(buckets(histogram).rev(), rank, histogram, |_, count| count - rank)
    }
}

/// Finds the bucket in which the number of observations so far reaches the rank. `position` returns
/// how many of the bucket's observations are below the result.
fn find(
    buckets: impl Iterator<Item = Bucket>,
    rank: f64,
    histogram: &Histogram,
    position: impl Fn(Bucket, f64) -> f64,
) -> f64 {
    let mut count = 0.0;
    let mut last = None;
    for bucket in buckets {
        count += bucket.count();
        last = Some(bucket);
        if count >= rank {
            break;
        }
    }
    let Some(bucket) = last else {
        return if rank > 0.0 && !histogram.sum.is_nan() { 0.0 } else { f64::NAN };
    };
    let count = count.min(histogram.count);
    if count < rank {
        return if histogram.sum.is_nan() { f64::NAN } else { bucket.value(1.0, histogram) };
    }
    bucket.value(position(bucket, count) / bucket.count(), histogram)
}

/// Returns the share of the observations that are above a value.
pub(super) fn fraction_above(value: f64, histogram: &Histogram) -> f64 {
    if histogram.count == 0.0 || value.is_nan() {
        return f64::NAN;
    }
    if value == f64::INFINITY {
        return 0.0;
    }
    let mut below = None;
    let mut count = 0.0;
    for bucket in buckets(histogram) {
        let share = bucket.share_below(value, histogram);
        if below.is_none() && share < 1.0 {
            below = Some(count + bucket.count() * share.max(0.0));
        }
        count += bucket.count();
    }
    if !histogram.sum.is_nan() {
        count = histogram.count;
    }
    (count - below.unwrap_or(count).min(count)) / histogram.count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(zero_count: f64, buckets: &[(i32, f64)]) -> Histogram {
        let count = zero_count + buckets.iter().map(|(_, count)| count).sum::<f64>();
        Histogram { count, sum: 1.0, zero_count, buckets: buckets.to_vec() }
    }

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} is not {expected}");
    }

    #[test]
    fn quantiles_are_interpolated_exponentially() {
        // Four observations in (1, 2^(1/8)], four in (2^(7/8), 2].
        let observations = histogram(0.0, &[(0, 4.0), (7, 4.0)]);
        for (share, expected) in [
            (0.25, (0.5_f64 / 8.0).exp2()),
            (0.5, (7.0_f64 / 8.0).exp2()),
            (0.75, (7.5_f64 / 8.0).exp2()),
            (1.0, 2.0),
            (0.0, 1.0),
        ] {
            close(quantile(share, &observations), expected);
        }
        assert_eq!(quantile(-0.1, &observations), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &observations), f64::INFINITY);
        assert!(quantile(f64::NAN, &observations).is_nan());
        assert!(quantile(0.5, &Histogram::default()).is_nan());
    }

    #[test]
    fn observations_of_zero_have_a_bucket() {
        let observations = histogram(3.0, &[(0, 1.0)]);
        assert!(quantile(0.5, &observations).abs() < 1e-100);
        close(fraction_above(0.5, &observations), 0.25);
        close(fraction_above(-1.0, &observations), 1.0);
        close(fraction_above(0.0, &observations), 1.0);
        close(fraction_above(0.0, &histogram(4.0, &[])), 0.5);
    }

    #[test]
    fn fractions_are_interpolated_exponentially() {
        let observations = histogram(0.0, &[(0, 4.0), (7, 4.0)]);
        for (above, expected) in [
            (1.0, 1.0),
            ((0.25_f64 / 8.0).exp2(), 7.0 / 8.0),
            (1.5, 0.5),
            (2.0, 0.0),
            (8.0, 0.0),
            (f64::INFINITY, 0.0),
            (f64::NEG_INFINITY, 1.0),
        ] {
            assert!((fraction_above(above, &observations) - expected).abs() < 1e-12, "{above}");
        }
        assert!(fraction_above(f64::NAN, &observations).is_nan());
        assert!(fraction_above(1.0, &Histogram::default()).is_nan());
    }
}
