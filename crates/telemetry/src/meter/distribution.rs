//! The value of a histogram.

use signal::exponential;

use crate::trace::SpanContext;

/// A recorded value with the trace in which it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The context of the measured span.
    pub context: SpanContext,
    /// The recorded duration.
    pub nanoseconds: u64,
    /// Time at which the operation ended.
    pub unix_nanoseconds: u64,
}

/// The value of one histogram series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Number of durations of zero.
    pub zero: u64,
    /// Index of the first of `buckets`; see [`exponential`].
    pub first: i32,
    /// Count of each bucket, not cumulative, from the first to the last that counted something.
    pub buckets: Vec<u64>,
    /// Sum of all recorded durations.
    pub sum_nanoseconds: u64,
    /// The newest exemplar of each octave, in order of time.
    pub exemplars: Vec<Exemplar>,
}

impl Distribution {
    /// Returns the number of recorded durations.
    pub fn count(&self) -> u64 {
        self.zero + self.buckets.iter().sum::<u64>()
    }

    /// Returns the number of durations that did not exceed `bound` seconds. Exact for powers of two,
    /// which are bounds of buckets.
    pub fn within(&self, bound: f64) -> u64 {
        let Some(last) = exponential::index(bound) else { return self.zero };
        let buckets = usize::try_from(last + 1 - self.first).unwrap_or_default().min(self.buckets.len());
        self.zero + self.buckets[..buckets].iter().sum::<u64>()
    }

    /// Returns the counts between `bounds`, which are powers of two, and above the last of them.
    pub fn classic_buckets(&self, bounds: &[f64]) -> Vec<u64> {
        let mut before = 0;
        let cumulative = bounds.iter().map(|bound| self.within(*bound)).chain([self.count()]);
        cumulative.map(|count| count - std::mem::replace(&mut before, count)).collect()
    }

    /// Adds `count` durations to a bucket.
    pub fn add(&mut self, index: i32, count: u64) {
        if count == 0 {
            return;
        }
        if self.buckets.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let missing = (self.first - index) as usize;
            self.buckets.splice(..0, std::iter::repeat_n(0, missing));
            self.first = index;
        }
        let position = (index - self.first) as usize;
        if position >= self.buckets.len() {
            self.buckets.resize(position + 1, 0);
        }
        self.buckets[position] += count;
    }

    /// Adds all durations of the other. Exemplars stay as they are.
    pub fn add_all(&mut self, other: &Self) {
        self.zero += other.zero;
        self.sum_nanoseconds += other.sum_nanoseconds;
        for (index, count) in (other.first..).zip(&other.buckets) {
            self.add(index, *count);
        }
    }

    /// Returns the durations that were recorded after `earlier`, a value of the same series.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut newer = Self {
            zero: self.zero - earlier.zero,
            sum_nanoseconds: self.sum_nanoseconds - earlier.sum_nanoseconds,
            ..Self::default()
        };
        for (index, count) in (self.first..).zip(&self.buckets) {
            let position = usize::try_from(index - earlier.first).ok();
            let before = position.and_then(|position| earlier.buckets.get(position));
            newer.add(index, count - before.unwrap_or(&0));
        }
        newer
    }

    /// Returns the duration in seconds that a share of the durations did not exceed, interpolated
    /// within its bucket as Prometheus does. `None` if there are no durations.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = share * count as f64;
        let mut below = self.zero as f64;
        if rank <= below {
            return Some(0.0);
        }
        for (index, bucket) in (self.first..).zip(&self.buckets) {
            let bucket = *bucket as f64;
            if below + bucket >= rank {
                let (lower, upper) = (exponential::upper_bound(index - 1), exponential::upper_bound(index));
                return Some(lower * (upper / lower).powf((rank - below) / bucket));
            }
            below += bucket;
        }
        // Rounding made the rank exceed the count.
        Some(exponential::upper_bound(self.first + self.buckets.len() as i32 - 1))
    }
}
