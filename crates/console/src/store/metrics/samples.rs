//! Series and samples, as input of the evaluator.

use std::sync::Arc;

/// The labels of a series or a result, sorted by name, without the metric's name and without empty
/// values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Creates labels from names and values in any order. Empty values are left out, because
    /// Prometheus treats them as absent.
    pub fn new(labels: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let mut labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        labels.sort();
        Self(labels.into())
    }

    /// Returns the value of a label; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.binary_search_by(|(key, _)| (**key).cmp(name));
        found.map_or("", |position| &self.0[position].1)
    }

    /// Returns the labels with these names.
    pub fn only(&self, names: &[String]) -> Self {
        Self(self.0.iter().filter(|(name, _)| names.iter().any(|other| **other == **name)).cloned().collect())
    }

    /// Returns the labels with one set to a value, or removed if the value is empty.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(key, _)| **key != *name).cloned();
        Self::new(others.chain([(name.into(), value.into())]))
    }

    /// Returns names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Identifies a series within one store while the store is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u32);

/// A native histogram with the scale [`signal::exponential::SCALE`]. All observations are positive
/// or zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Number of observations.
    pub count: f64,
    /// Sum of the observed values.
    pub sum: f64,
    /// Number of observations of zero.
    pub zero_count: f64,
    /// Number of observations in each non-empty bucket, with its index in OTLP's numbering, in ascending
    /// order.
    pub buckets: Vec<(i32, f64)>,
}

impl Histogram {
    /// Returns whether the counts were reset since an earlier sample: one of them fell.
    pub fn is_reset(&self, before: &Self) -> bool {
        if self.count < before.count || self.zero_count < before.zero_count {
            return true;
        }
        let mut after = self.buckets.iter().copied().peekable();
        before.buckets.iter().any(|&(index, count)| {
            while after.next_if(|(other, _)| *other < index).is_some() {}
            match after.peek() {
                Some((other, now)) if *other == index => *now < count,
                _ => count != 0.0,
            }
        })
    }

    /// Adds a multiple of another histogram. Changes buckets only if `detailed` is set.
    pub fn add(&mut self, other: &Self, times: f64, detailed: bool) {
        self.count += times * other.count;
        self.sum += times * other.sum;
        self.zero_count += times * other.zero_count;
        if detailed {
            self.buckets = added(&self.buckets, &other.buckets, times);
        }
    }

    /// Returns whether this marks the end of a series, like [`STALE`].
    pub fn is_mark(&self) -> bool {
        is_stale(self.sum)
    }
}

/// Returns the sum of some buckets and a multiple of others, without those that are zero.
pub(super) fn added(buckets: &[(i32, f64)], others: &[(i32, f64)], times: f64) -> Vec<(i32, f64)> {
    let mut sums = Vec::new();
    let mut add = |index, count| {
        if count != 0.0 {
            sums.push((index, count));
        }
    };
    let mut others = others.iter().copied().peekable();
    for &(index, count) in buckets {
        while let Some((other, more)) = others.next_if(|(other, _)| *other < index) {
            add(other, times * more);
        }
        let more = others.next_if(|(other, _)| *other == index).map_or(0.0, |(_, more)| more);
        add(index, count + times * more);
    }
    others.for_each(|(other, more)| add(other, times * more));
    sums
}

/// Marks the end of a series. Instant selectors find nothing after it, although older samples are within
/// their lookback; windows omit it. Prometheus uses the same bit pattern.
///
/// Compare with [`is_stale`], because like any NaN it does not equal itself.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Returns whether a sample is [`STALE`]. Every other NaN is a value.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// Samples of one series, oldest first. Times are Unix times in milliseconds.
#[derive(Clone, Debug)]
pub enum Points {
    Numbers(Vec<(i64, f64)>),
    Histograms(Vec<(i64, Arc<Histogram>)>),
}

impl Points {
    /// Removes the marks of the series' end.
    pub fn without_marks(mut self) -> Self {
        match &mut self {
            Self::Numbers(points) => points.retain(|(_, number)| !is_stale(*number)),
            Self::Histograms(points) => points.retain(|(_, histogram)| !histogram.is_mark()),
        }
        self
    }
}

/// Returns the positions of the first and the last sample of each window, from the times of all samples of a
/// series. Both rise from window to window.
pub type FindWindows<'a> = dyn Fn(&[i64]) -> Vec<(usize, usize)> + 'a;

/// The samples that increases of a series within windows depend on, without marks of the series' end.
#[derive(Clone, Debug)]
pub enum CounterPoints {
    /// Every sample of the range.
    Numbers(Vec<(i64, f64)>),
    Histograms(WindowChanges),
}

/// Changes of a series of histograms within windows.
#[derive(Clone, Debug, Default)]
pub struct WindowChanges {
    /// Times of all samples, in Unix milliseconds.
    pub times: Vec<i64>,
    /// The change within each window.
    pub changes: Vec<WindowChange>,
    /// Positions of the samples before which the series was reset, with the samples before them.
    pub resets: Vec<(usize, Histogram)>,
}

/// Change of a histogram from the first to the last sample of a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowChange {
    /// Number of observations of the first sample.
    pub first_count: f64,
    /// The last sample less the first. Counts are negative if the series was reset in between.
    pub change: Histogram,
}

impl CounterPoints {
    /// Selects from all samples. See [`MetricSource::read_counter`].
    pub fn of(points: Points, windows: &FindWindows<'_>) -> Self {
        let points = match points.without_marks() {
            Points::Numbers(points) => return Self::Numbers(points),
            Points::Histograms(points) => points,
        };
        let times: Vec<i64> = points.iter().map(|(at, _)| *at).collect();
        let change = |(first, last): (usize, usize)| {
            let (first, mut change) = (&points[first].1, Histogram::clone(&points[last].1));
            change.add(first, -1.0, true);
            WindowChange { first_count: first.count, change }
        };
        let changes = windows(&times).into_iter().map(change).collect();
        let reset = |position: usize| {
            let (before, after) = (&points[position - 1].1, &points[position].1);
            after.is_reset(before).then(|| (position, Histogram::clone(before)))
        };
        let resets = (1..points.len()).filter_map(reset).collect();
        Self::Histograms(WindowChanges { times, changes, resets })
    }
}

/// A store of series that the evaluator reads.
pub trait MetricSource {
    /// Returns the series of a metric, by its name as Prometheus spells it.
    fn series(&self, name: &str) -> Vec<SeriesId>;

    fn labels(&self, series: SeriesId) -> &Labels;

    /// Returns the samples of a series in a range of Unix milliseconds that excludes its start.
    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points;

    /// Returns the samples of a series, in a range that excludes its start, which increases within windows
    /// depend on. Unless `detailed` is set, changes may be without buckets.
    fn read_counter(
        &self,
        series: SeriesId,
        after: i64,
        until: i64,
        _detailed: bool,
        windows: &FindWindows<'_>,
    ) -> CounterPoints {
        CounterPoints::of(self.read(series, after, until), windows)
    }

    /// Returns the time from which on the store has all samples of a series, in Unix milliseconds. Older data
    /// is rolled up to one sample per five minutes.
    fn complete_since(&self, series: SeriesId) -> i64;
}
