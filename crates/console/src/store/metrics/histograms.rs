//! A column of histograms: a column of numbers for the sum, and for each bucket in use.

use std::sync::Arc;

use super::Histogram;
use super::numbers::{NumberColumn, Run, Runs};
use super::varint::{Reader, put, put_bytes, unzigzag, zigzag};

/// A growing column. The column of a bucket is shorter if the bucket has not changed since.
#[derive(Clone, Debug, Default)]
pub(super) struct HistogramColumn {
    /// The only column with gaps.
    sum: NumberColumn,
    zero_count: NumberColumn,
    /// Zero if the count is the sum of all buckets, which only NaN observations prevent.
    count: NumberColumn,
    buckets: Vec<(i32, NumberColumn)>,
    last: Arc<Histogram>,
}

/// Number of buckets for which a reader has room at first.
const USUAL_BUCKETS: u64 = 128;

/// Encodes a count of zero that is not the sum of all buckets.
const ZERO: f64 = f64::NAN;

impl HistogramColumn {
    pub(super) fn len(&self) -> u32 {
        self.sum.len()
    }

    pub(super) fn samples(&self) -> u32 {
        self.sum.samples()
    }

    /// Returns the newest histogram.
    pub(super) fn last(&self) -> &Arc<Histogram> {
        &self.last
    }

    pub(super) fn memory(&self) -> usize {
        let buckets = self.buckets.iter().map(|(_, column)| column.memory()).sum::<usize>();
        let last = size_of::<Histogram>() + self.last.buckets.capacity() * size_of::<(i32, f64)>();
        let columns = self.sum.memory() + self.zero_count.memory() + self.count.memory() + buckets;
        size_of::<Self>() + columns + self.buckets.capacity() * size_of::<(i32, NumberColumn)>() + last
    }

    pub(super) fn push_gap(&mut self, ticks: u32) {
        self.sum.push_gap(ticks);
    }

    pub(super) fn push(&mut self, histogram: Arc<Histogram>) {
        let position = self.len();
        self.sum.push(histogram.sum);
        if !same(&self.last, &histogram) {
            push_at(&mut self.zero_count, position, histogram.zero_count);
            push_at(&mut self.count, position, explicit_count(&histogram));
            self.push_buckets(position, &histogram.buckets);
        }
        self.last = histogram;
    }

    fn push_buckets(&mut self, position: u32, counts: &[(i32, f64)]) {
        for (index, _) in counts {
            if let Err(place) = self.buckets.binary_search_by_key(index, |(index, _)| *index) {
                self.buckets.insert(place, (*index, NumberColumn::default()));
            }
        }
        let mut counts = counts.iter().peekable();
        for (index, column) in &mut self.buckets {
            let count = counts.next_if(|(next, _)| next == index).map_or(0.0, |(_, count)| *count);
            push_at(column, position, count);
        }
    }

    /// Appends the encoded column.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        let mut column = |out: &mut Vec<u8>, column: &NumberColumn| {
            bytes.clear();
            column.pack(&mut bytes);
            put_bytes(out, &bytes);
        };
        column(out, &self.sum);
        column(out, &self.zero_count);
        column(out, &self.count);
        put(out, self.buckets.len() as u64);
        let mut previous = 0;
        for (index, counts) in &self.buckets {
            put(out, zigzag(i64::from(index - previous)));
            column(out, counts);
            previous = *index;
        }
    }
}

/// Adds a number at a position, unless it is the same as before.
fn push_at(column: &mut NumberColumn, position: u32, number: f64) {
    if column.last().to_bits() != number.to_bits() {
        column.repeat(position - column.len());
        column.push(number);
    }
}

pub(super) fn same(one: &Histogram, other: &Histogram) -> bool {
    one.sum.to_bits() == other.sum.to_bits()
        && one.count == other.count
        && one.zero_count == other.zero_count
        && one.buckets == other.buckets
}

fn count_of_buckets(zero_count: f64, buckets: &[(i32, f64)]) -> f64 {
    zero_count + buckets.iter().map(|(_, count)| count).sum::<f64>()
}

fn explicit_count(histogram: &Histogram) -> f64 {
    if count_of_buckets(histogram.zero_count, &histogram.buckets) == histogram.count {
        return 0.0;
    }
    if histogram.count == 0.0 { ZERO } else { histogram.count }
}

/// Reverses [`explicit_count`].
pub(super) fn total_count(explicit: f64, of_buckets: f64) -> f64 {
    match explicit {
        0.0 => of_buckets,
        zero if zero.is_nan() => 0.0,
        count => count,
    }
}

/// Reader of a column of numbers, in step with others. After its end, it repeats the last number.
struct Stepped<'a> {
    runs: Runs<'a>,
    number: Option<f64>,
    left: u32,
}

impl<'a> Stepped<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut stepped = Self { runs: Runs::new(bytes), number: Some(0.0), left: 0 };
        stepped.refill();
        stepped
    }

    /// Advances by this number of ticks. Returns whether the number may have changed.
    fn step(&mut self, ticks: u32) -> bool {
        if self.left == u32::MAX {
            return false;
        }
        self.left -= ticks;
        if self.left > 0 {
            return false;
        }
        self.refill();
        true
    }

    fn refill(&mut self) {
        match self.runs.by_ref().find(|run| run.ticks > 0) {
            Some(Run { ticks, number }) => (self.left, self.number) = (ticks, number),
            None => self.left = u32::MAX,
        }
    }
}

/// The encoded columns of numbers of a column of histograms.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    /// The only column with gaps.
    pub(super) sum: &'a [u8],
    pub(super) zero_count: &'a [u8],
    pub(super) count: &'a [u8],
    /// Column of each bucket, in ascending order.
    pub(super) buckets: Vec<(i32, &'a [u8])>,
}

impl<'a> Columns<'a> {
    /// Finds the columns of numbers; `None` if the bytes are damaged.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (sum, zero_count, count) = (reader.bytes()?, reader.bytes()?, reader.bytes()?);
        let length = reader.get()?;
        let mut buckets = Vec::with_capacity(length.min(USUAL_BUCKETS) as usize);
        let mut index = 0_i64;
        for _ in 0..length {
            index = index.checked_add(unzigzag(reader.get()?))?;
            buckets.push((i32::try_from(index).ok()?, reader.bytes()?));
        }
        Some(Self { sum, zero_count, count, buckets })
    }

    /// Returns whether the count of a sample may differ from the sum of its buckets.
    pub(super) fn has_explicit_counts(&self) -> bool {
        Runs::new(self.count).any(|run| run.number.is_some_and(|count| count != 0.0))
    }
}

/// Decodes a column: calls `visit` with a number of ticks and their histogram, or `None` for a gap.
/// Returns `None` if the bytes are damaged.
pub(super) fn unpack(bytes: &[u8], mut visit: impl FnMut(u32, Option<&Arc<Histogram>>)) -> Option<()> {
    let Columns { sum, zero_count, count, buckets } = Columns::parse(bytes)?;
    let (indexes, buckets): (Vec<i32>, Vec<&[u8]>) = buckets.into_iter().unzip();
    let mut columns: Vec<_> = [zero_count, count].into_iter().chain(buckets).map(Stepped::new).collect();
    let mut current = None;
    for Run { mut ticks, number: sum } in Runs::new(sum) {
        while ticks > 0 {
            let steps = columns.iter().map(|column| column.left).min().unwrap_or(ticks).min(ticks);
            match sum {
                None => visit(steps, None),
                Some(sum) => {
                    let histogram = match current.take() {
                        Some(same) => same,
                        None => Arc::new(histogram_of(sum, &columns, &indexes)),
                    };
                    visit(steps, Some(&histogram));
                    current = Some(histogram);
                }
            }
            ticks -= steps;
            let mut changed = false;
            for column in &mut columns {
                changed |= column.step(steps);
            }
            if changed || ticks == 0 {
                current = None;
            }
        }
    }
    Some(())
}

fn histogram_of(sum: f64, columns: &[Stepped<'_>], indexes: &[i32]) -> Histogram {
    let mut numbers = columns.iter().map(|column| column.number.unwrap_or_default());
    let zero_count = numbers.next().unwrap_or_default();
    let count = numbers.next().unwrap_or_default();
    let buckets: Vec<_> = indexes.iter().copied().zip(numbers).filter(|(_, count)| *count != 0.0).collect();
    let count = total_count(count, count_of_buckets(zero_count, &buckets));
    Histogram { count, sum, zero_count, buckets }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::metrics::STALE;

    fn histogram() -> impl Strategy<Value = Option<Histogram>> {
        let buckets = prop::collection::btree_map(-3..4_i32, 1..5_u32, 0..4);
        let plain = (0..3_u32, buckets, prop_oneof![9 => Just(0.0), 1 => Just(1.5)], 0..9_u32);
        let plain = plain.prop_map(|(zero, buckets, more, sum)| {
            let buckets: Vec<_> =
                buckets.into_iter().map(|(index, count)| (index, f64::from(count))).collect();
            let count = count_of_buckets(f64::from(zero), &buckets) + more;
            Histogram { count, sum: f64::from(sum) / 4.0, zero_count: f64::from(zero), buckets }
        });
        let odd = Histogram { count: 0.0, sum: 1.0, zero_count: 2.0, buckets: vec![] };
        let ended = Histogram { sum: STALE, ..Histogram::default() };
        prop_oneof![
            8 => plain.prop_map(Some),
            2 => Just(None),
            1 => Just(Some(odd)),
            1 => Just(Some(ended)),
        ]
    }

    proptest! {
        #[test]
        fn histograms_are_read_as_they_were_written(
            histograms in prop::collection::vec((histogram(), 1..4_usize), 0..30)
        ) {
            let expected: Vec<_> = histograms
                .into_iter()
                .flat_map(|(histogram, times)| std::iter::repeat_n(histogram, times))
                .collect();
            let mut column = HistogramColumn::default();
            for histogram in &expected {
                match histogram {
                    Some(histogram) => column.push(Arc::new(histogram.clone())),
                    None => column.push_gap(1),
                }
            }
            let mut bytes = Vec::new();
            column.pack(&mut bytes);
            let mut read = Vec::new();
            let visit = |ticks: u32, histogram: Option<&Arc<Histogram>>| {
                read.extend(std::iter::repeat_n(histogram.cloned(), ticks as usize));
            };
            prop_assert_eq!(unpack(&bytes, visit), Some(()));
            prop_assert_eq!(read.len(), expected.len());
            for (read, expected) in read.iter().zip(&expected) {
                match (read, expected) {
                    (Some(read), Some(expected)) => prop_assert!(same(read, expected), "{read:?} {expected:?}"),
                    (read, expected) => prop_assert_eq!(read.is_some(), expected.is_some()),
                }
            }
        }

        #[test]
        fn any_bytes_can_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut ticks = 0_u64;
            let _ = unpack(&bytes, |more, _| ticks += u64::from(more));
        }
    }

    #[test]
    fn histograms_that_do_not_change_share_memory() {
        let mut column = HistogramColumn::default();
        for _ in 0..240 {
            column.push(Arc::new(Histogram {
                count: 2.0,
                sum: 1.0,
                zero_count: 0.0,
                buckets: vec![(1, 2.0)],
            }));
        }
        let mut bytes = Vec::new();
        column.pack(&mut bytes);
        assert!(bytes.len() <= 16, "{}", bytes.len());
        let mut visits = 0;
        unpack(&bytes, |_, _| visits += 1).unwrap();
        assert!(visits <= 2, "{visits}");
    }
}
