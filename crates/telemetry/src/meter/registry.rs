//! The registry of all instruments, and snapshots of their values.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use signal::metric::{
    ClosedAtStart, CounterMetric, GaugeMetric, HistogramMetric, LabelSet, MetricDescription, SeriesLabels,
    UpDownCounterMetric,
};

use super::instruments::{BoundHistogram, BoundUpDownCounter, Counter, Gauge, Histogram, UpDownCounter};
use super::series::{GaugeSeries, HistogramSeries};
use super::snapshot::{FamilySnapshot, Snapshot, Value};

/// Builds instruments from their declarations and takes snapshots of all of them.
#[derive(Clone)]
pub struct Meter {
    families: Arc<Mutex<Vec<Family>>>,
    /// The start time of every cumulative point.
    started_unix_nanoseconds: u64,
}

struct Family {
    description: MetricDescription,
    series: Vec<(SeriesLabels, Source)>,
}

#[derive(Clone)]
enum Source {
    Counter(Arc<AtomicU64>),
    UpDownCounter(Arc<AtomicI64>),
    Gauge(Arc<GaugeSeries>),
    Histogram(Arc<HistogramSeries>),
    Observed(Observer),
}

/// Called at every snapshot. `None` leaves the series out rather than freezing its last value.
type Observer = Arc<dyn Fn() -> Option<f64> + Send + Sync>;

impl Default for Meter {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { families: Arc::default(), started_unix_nanoseconds: since_epoch.as_nanos() as u64 }
    }
}

impl Meter {
    /// Creates a counter, with every series at 0.
    ///
    /// # Panics
    /// Panics if a metric of this name already exists, like every constructor here: the values of
    /// two instruments would be added up silently.
    pub fn counter<L: LabelSet>(&self, metric: &CounterMetric<L>) -> Counter<L> {
        let series: Box<[_]> = (0..L::SERIES).map(|_| Arc::new(AtomicU64::new(0))).collect();
        self.register(
            metric.description(),
            L::all_series(),
            series.iter().map(|s| Source::Counter(s.clone())),
        );
        Counter { series, labels: PhantomData }
    }

    /// Creates an up-down counter, with every series at 0.
    pub fn up_down_counter<L: LabelSet>(&self, metric: &UpDownCounterMetric<L>) -> UpDownCounter<L> {
        let series: Box<[_]> = (0..L::SERIES).map(|_| Arc::new(AtomicI64::new(0))).collect();
        self.register(
            metric.description(),
            L::all_series(),
            series.iter().map(|s| Source::UpDownCounter(s.clone())),
        );
        UpDownCounter { series, labels: PhantomData }
    }

    /// Creates a gauge whose series are absent until they are set.
    pub fn gauge<L: LabelSet>(&self, metric: &GaugeMetric<L>) -> Gauge<L> {
        let series: Box<[_]> = (0..L::SERIES).map(|_| Arc::new(GaugeSeries::default())).collect();
        self.register(metric.description(), L::all_series(), series.iter().map(|s| Source::Gauge(s.clone())));
        Gauge { series, labels: PhantomData }
    }

    /// Creates a histogram of durations, with every series at 0.
    pub fn histogram<L: LabelSet>(&self, metric: &HistogramMetric<L>) -> Histogram<L> {
        let series: Box<[_]> = (0..L::SERIES).map(|_| Arc::new(HistogramSeries::default())).collect();
        self.register(
            metric.description(),
            L::all_series(),
            series.iter().map(|s| Source::Histogram(s.clone())),
        );
        Histogram { series, labels: PhantomData }
    }

    /// Exposes a value that lives elsewhere as a metric. `read` is called at every snapshot for
    /// every label combination, must not block, and returns `None` if there is no value.
    pub fn observe<L: LabelSet, K>(
        &self,
        metric: &signal::metric::Metric<L, K>,
        read: impl Fn(L) -> Option<f64> + Send + Sync + 'static,
    ) {
        let read = Arc::new(read);
        let sources = (0..L::SERIES).map(|index| {
            let read = read.clone();
            Source::Observed(Arc::new(move || read(L::at(index))))
        });
        self.register(metric.description(), L::all_series(), sources);
    }

    /// Exposes one value as a metric whose labels are known only at start, such as a version or an
    /// instance.
    pub fn observe_series<K>(
        &self,
        metric: &signal::metric::Metric<ClosedAtStart, K>,
        labels: SeriesLabels,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.add_series(metric.description(), labels, Source::Observed(Arc::new(read)));
    }

    /// Returns a series of a histogram whose labels are closed at start, creating it if necessary.
    pub fn histogram_series(
        &self,
        metric: &signal::metric::Metric<ClosedAtStart, signal::metric::IsHistogram>,
        labels: SeriesLabels,
    ) -> BoundHistogram {
        self.histogram_of(metric.description(), labels)
    }

    pub(super) fn histogram_of(
        &self,
        description: MetricDescription,
        labels: SeriesLabels,
    ) -> BoundHistogram {
        let source = Source::Histogram(Arc::default());
        match self.add_series(description, labels, source) {
            Source::Histogram(series) => BoundHistogram(series),
            _ => unreachable!("{} was registered as a histogram", description.name),
        }
    }

    /// Returns a series of an up-down counter whose labels are closed at start, creating it if
    /// necessary.
    pub fn up_down_counter_series(
        &self,
        metric: &signal::metric::Metric<ClosedAtStart, signal::metric::IsUpDownCounter>,
        labels: SeriesLabels,
    ) -> BoundUpDownCounter {
        match self.add_series(metric.description(), labels, Source::UpDownCounter(Arc::default())) {
            Source::UpDownCounter(series) => BoundUpDownCounter(series),
            _ => unreachable!("{} was registered as an up-down counter", metric.description().name),
        }
    }

    /// Returns every metric and its points, in order of registration.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_part(&mut SnapshotReader::default(), usize::MAX)
    }

    /// Returns the next part of a snapshot, with at most `most_points` points, and advances
    /// `reader`. After the last part, `reader` is at the start again. Labels are copied, so a
    /// part takes less memory than a whole snapshot.
    pub fn snapshot_part(&self, reader: &mut SnapshotReader, most_points: usize) -> Snapshot {
        let families = self.families.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let SnapshotReader { position, read, previous, .. } = reader;
        read.resize(families.len(), 0);
        let (previous, existed) = match previous {
            Some(Beginning { unix_nanoseconds, series }) => (Some(*unix_nanoseconds), series.as_slice()),
            None => (None, &[][..]),
        };
        let mut part = Vec::new();
        let mut room = most_points;
        while room > 0
            && let Some(family) = families.get(position.family)
        {
            let first = position.series;
            let end = family.series.len().min(first.saturating_add(room));
            let points_of = |series: &[(SeriesLabels, Source)]| -> Vec<_> {
                series.iter().filter_map(|(labels, source)| Some((labels.clone(), source.read()?))).collect()
            };
            let existed = existed.get(position.family).copied().unwrap_or_default();
            let known = existed.max(read[position.family]).clamp(first, end);
            let mut points = points_of(&family.series[first..known]);
            let new = points_of(&family.series[known..end]);
            let new_points = new.len();
            points.extend(new);
            part.push(FamilySnapshot { description: family.description, points, new_points });
            room -= end - first;
            position.series = end;
            read[position.family] = end.max(read[position.family]);
            if position.series == family.series.len() {
                *position = SnapshotPosition { family: position.family + 1, series: 0 };
            }
        }
        if position.family == families.len() {
            *position = SnapshotPosition::default();
        }
        Snapshot {
            families: part,
            started_unix_nanoseconds: self.started_unix_nanoseconds,
            previous_unix_nanoseconds: previous,
        }
    }

    /// Begins a snapshot, even if the reader has not read the one before to its end.
    pub fn begin_snapshot(&self, reader: &mut SnapshotReader, now_unix_nanoseconds: u64) {
        let families = self.families.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let series = families.iter().map(|family| family.series.len()).collect();
        reader.position = SnapshotPosition::default();
        reader.previous =
            reader.current.replace(Beginning { unix_nanoseconds: now_unix_nanoseconds, series });
    }

    fn register(
        &self,
        description: MetricDescription,
        labels: Vec<SeriesLabels>,
        sources: impl Iterator<Item = Source>,
    ) {
        let mut families = self.families.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let taken = families.iter().any(|family| family.description.name == description.name);
        assert!(!taken, "the metric {} is registered twice", description.name);
        families.push(Family { description, series: labels.into_iter().zip(sources).collect() });
    }

    fn add_series(&self, description: MetricDescription, labels: SeriesLabels, source: Source) -> Source {
        debug_assert!(
            labels.iter().all(|(key, _)| description.label_keys.contains(key)),
            "undeclared label {labels:?}"
        );
        let mut families = self.families.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let position = families.iter().position(|family| family.description.name == description.name);
        let position = position.unwrap_or_else(|| {
            families.push(Family { description, series: Vec::new() });
            families.len() - 1
        });
        let series = &mut families[position].series;
        if let Some((_, existing)) = series.iter().find(|(existing, _)| *existing == labels) {
            return existing.clone();
        }
        series.push((labels, source.clone()));
        source
    }
}

impl Source {
    fn read(&self) -> Option<Value> {
        Some(match self {
            Source::Counter(series) => Value::Integer(series.load(Relaxed) as i64),
            Source::UpDownCounter(series) => Value::Integer(series.load(Relaxed)),
            Source::Gauge(series) => Value::Number(series.value()?),
            Source::Observed(read) => Value::Number(read()?),
            Source::Histogram(series) => Value::Distribution(series.read()),
        })
    }
}

/// Start position of the next part of a snapshot. Metrics and series are only ever appended, so it stays
/// valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SnapshotPosition {
    family: usize,
    series: usize,
}

/// Reads one snapshot after the other, part by part, and knows which series began between them.
#[derive(Clone, Debug, Default)]
pub struct SnapshotReader {
    position: SnapshotPosition,
    /// Number of series of each family that were read.
    read: Vec<usize>,
    current: Option<Beginning>,
    previous: Option<Beginning>,
}

/// Start time of a snapshot.
#[derive(Clone, Debug)]
struct Beginning {
    unix_nanoseconds: u64,
    /// Number of series of each family that existed.
    series: Vec<usize>,
}

impl SnapshotReader {
    /// Returns whether nothing of the snapshot has been read yet, or everything.
    pub fn is_at_start(&self) -> bool {
        self.position == SnapshotPosition::default()
    }
}
