//! Sums with compensation of rounding errors.

/// A sum by Kahan's method with Neumaier's improvement, as Prometheus adds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    sum: f64,
    rest: f64,
}

impl Sum {
    /// Starts with one value.
    pub(super) fn of(value: f64) -> Self {
        Self { sum: value, rest: 0.0 }
    }

    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        // Knuth's formula for the rounding error has the same result as Neumaier's, without a branch.
        let added = total - self.sum;
        let error = (self.sum - (total - added)) + (value - added);
        self.rest = if total.is_infinite() { 0.0 } else { self.rest + error };
        self.sum = total;
    }

    pub(super) fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.rest }
    }

    /// Returns the sum with its compensation, also if the sum is infinite.
    pub(super) fn total(self) -> f64 {
        self.sum + self.rest
    }

    /// Returns the mean of `count` values.
    pub(super) fn over(self, count: f64) -> f64 {
        self.sum / count + self.rest / count
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::default();
        for value in values {
            sum.add(value);
        }
        sum
    }
}

/// Returns the mean of values, which does not overflow although their sum does.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values = values.into_iter();
    let mut sum = Sum::of(values.next().unwrap_or(f64::NAN));
    let mut count = 1.0;
    while let Some(value) = values.next() {
        let mut next = sum;
        next.add(value);
        if next.sum.is_infinite() {
            return incremental_mean(sum, count, std::iter::once(value).chain(values));
        }
        sum = next;
        count += 1.0;
    }
    sum.over(count)
}

fn incremental_mean(sum: Sum, mut count: f64, values: impl Iterator<Item = f64>) -> f64 {
    let mut mean = Sum { sum: sum.sum / count, rest: sum.rest / count };
    for value in values {
        count += 1.0;
        let share = (count - 1.0) / count;
        mean = Sum { sum: share * mean.sum, rest: share * mean.rest };
        mean.add(value / count);
    }
    mean.sum + mean.rest
}
