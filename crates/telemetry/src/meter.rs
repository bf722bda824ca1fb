//! Instruments, which hold the values of every metric, and the registry of all instruments.
//!
//! A series is a handful of atomics that exists from the start. Recording is one or two relaxed
//! additions, and a reader sees every series, including those that are still zero. There is no
//! global registry: instruments are built from the [`Meter`] that is passed to them.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use signal::exponential;
use signal::metric::{
    ClosedAtStart, CounterMetric, GaugeMetric, HistogramMetric, LabelSet, MetricDescription, SeriesLabels,
    UpDownCounterMetric,
};

use crate::attribute::Attributes;
use crate::trace::SpanContext;

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

    fn histogram_of(&self, description: MetricDescription, labels: SeriesLabels) -> BoundHistogram {
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

/// A counter of events.
///
/// ```
/// # use signal::metric::LabelSet;
/// fn count<L: LabelSet>(counter: &telemetry::meter::Counter<L>, labels: L) {
///     counter.add(labels, 1);
/// }
/// ```
///
/// Text is no label:
///
/// ```compile_fail,E0599
/// fn count(counter: &telemetry::meter::Counter<String>) {
///     counter.add(String::from("what somebody wrote"), 1);
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn count(counter: &telemetry::meter::Counter<&'static str>) {
///     counter.add("any text", 1);
/// }
/// ```
pub struct Counter<L = ()> {
    series: Box<[Arc<AtomicU64>]>,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> Counter<L> {
    /// Adds `count` to the series of `labels`.
    #[inline]
    pub fn add(&self, labels: L, count: u64) {
        self.series[labels.series_index()].fetch_add(count, Relaxed);
    }

    /// Returns the current count.
    pub fn value(&self, labels: L) -> u64 {
        self.series[labels.series_index()].load(Relaxed)
    }

    /// Returns one series, for a template that is resolved at start.
    pub fn bind(&self, labels: L) -> BoundCounter {
        BoundCounter(self.series[labels.series_index()].clone())
    }
}

/// One series of a [`Counter`].
#[derive(Clone)]
pub struct BoundCounter(Arc<AtomicU64>);

impl BoundCounter {
    /// Adds `count` to this series.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// Returns the current count.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A counter that can decrease.
pub struct UpDownCounter<L = ()> {
    series: Box<[Arc<AtomicI64>]>,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> UpDownCounter<L> {
    /// Increments the series until the guard is dropped, so that no path can forget to decrement
    /// it.
    pub fn enter(&self, labels: L) -> InFlight {
        self.bind(labels).enter()
    }

    /// Returns one series, to be updated without its labels.
    pub fn bind(&self, labels: L) -> BoundUpDownCounter {
        BoundUpDownCounter(self.series[labels.series_index()].clone())
    }
}

/// One series of an [`UpDownCounter`].
#[derive(Clone)]
pub struct BoundUpDownCounter(Arc<AtomicI64>);

impl BoundUpDownCounter {
    /// Increments the series until the guard is dropped.
    #[inline]
    pub fn enter(&self) -> InFlight {
        self.0.fetch_add(1, Relaxed);
        InFlight(self.0.clone())
    }

    /// Adds a number, which the caller must subtract later.
    #[inline]
    pub(crate) fn add(&self, number: i64) {
        self.0.fetch_add(number, Relaxed);
    }

    /// Returns the number of guards that are alive.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Decrements its series when dropped.
pub struct InFlight(Arc<AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A current value, or nothing.
pub struct Gauge<L = ()> {
    series: Box<[Arc<GaugeSeries>]>,
    labels: PhantomData<fn(L)>,
}

/// The bits of an `f64`; all ones, a NaN that no measurement produces, means "absent".
struct GaugeSeries(AtomicU64);

const ABSENT: u64 = u64::MAX;

impl Default for GaugeSeries {
    fn default() -> Self {
        Self(AtomicU64::new(ABSENT))
    }
}

impl<L: LabelSet> Gauge<L> {
    /// Sets the value that is reported from now on.
    pub fn set(&self, labels: L, value: f64) {
        self.series[labels.series_index()].0.store(value.to_bits(), Relaxed);
    }

    /// Stops reporting every series, because a value that is no longer measured would be wrong.
    pub fn clear(&self) {
        for series in &self.series {
            series.0.store(ABSENT, Relaxed);
        }
    }
}

/// A distribution of durations over buckets.
pub struct Histogram<L = ()> {
    series: Box<[Arc<HistogramSeries>]>,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> Histogram<L> {
    /// Records a duration of `nanoseconds` under `labels`.
    pub fn record(&self, labels: L, nanoseconds: u64) {
        self.series[labels.series_index()].record(nanoseconds, None);
    }

    /// Returns one series, to be updated without its labels.
    pub fn bind(&self, labels: L) -> BoundHistogram {
        BoundHistogram(self.series[labels.series_index()].clone())
    }
}

/// One series of a [`Histogram`], recorded without a look-up of its labels.
#[derive(Clone)]
pub struct BoundHistogram(Arc<HistogramSeries>);

impl BoundHistogram {
    /// Records a duration. If it was measured in a sampled span, that span becomes the exemplar of
    /// its bucket.
    #[inline]
    pub fn record(&self, nanoseconds: u64, exemplar: Option<Exemplar>) {
        self.0.record(nanoseconds, exemplar);
    }

    /// Returns the number of recorded durations.
    pub fn count(&self) -> u64 {
        self.0.read().count()
    }

    /// Returns the sum of all recorded durations, in nanoseconds.
    pub fn sum_nanoseconds(&self) -> u64 {
        self.0.sum_nanoseconds.load(Relaxed)
    }
}

/// Values of attributes, in the order of their keys; `None` where the record has none.
type Values = Vec<Option<&'static str>>;

/// Series of a histogram that are told apart by attributes of the record. They are members of closed
/// sets, so their number is bounded. Each begins with its first recording: most kinds of failure
/// never occur.
pub struct SeriesByAttributes {
    meter: Meter,
    description: MetricDescription,
    labels: SeriesLabels,
    keys: &'static [&'static str],
    known: Mutex<Vec<(Values, BoundHistogram)>>,
}

impl SeriesByAttributes {
    /// Creates none yet. Series have `labels` and the attributes of these names.
    pub(crate) fn new(
        meter: &Meter,
        description: MetricDescription,
        labels: SeriesLabels,
        keys: &'static [&'static str],
    ) -> Self {
        Self { meter: meter.clone(), description, labels, keys, known: Mutex::default() }
    }

    /// Returns the series of a record, creating it if necessary.
    pub(crate) fn of(&self, attributes: &Attributes) -> BoundHistogram {
        let values: Values = self.keys.iter().map(|key| attributes.name_of(key)).collect();
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, series)) = known.iter().find(|(found, _)| *found == values) {
            return series.clone();
        }
        let added =
            self.keys.iter().zip(&values).filter_map(|(key, value)| Some((*key, (*value)?.to_owned())));
        let labels = self.labels.iter().cloned().chain(added).collect();
        let series = self.meter.histogram_of(self.description, labels);
        known.push((values, series.clone()));
        series
    }
}

/// A distribution over the buckets of [`exponential`]. The total count is the sum of the buckets, so
/// the two cannot disagree.
#[derive(Default)]
struct HistogramSeries {
    sum_nanoseconds: AtomicU64,
    /// Durations of zero.
    zero: AtomicU64,
    /// Most series never count anything, and the others use a few octaves of the whole range. So
    /// each part is allocated at its first recording.
    parts: [OnceLock<Box<Part>>; exponential::BUCKETS / PART],
}

/// Number of buckets that are allocated together: eight octaves.
const PART: usize = 64;
const OCTAVE: usize = exponential::BUCKETS_PER_OCTAVE as usize;

struct Part {
    buckets: [AtomicU64; PART],
    /// The newest sampled request of each octave.
    exemplars: OnceLock<Box<[Mutex<Option<Exemplar>>; PART / OCTAVE]>>,
}

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

impl HistogramSeries {
    #[inline]
    fn record(&self, nanoseconds: u64, exemplar: Option<Exemplar>) {
        let Some(index) = exponential::index_of_nanoseconds(nanoseconds) else {
            self.zero.fetch_add(1, Relaxed);
            return;
        };
        let position = (index - exponential::FIRST) as usize;
        let part = self.parts[position / PART].get_or_init(Part::boxed);
        // Both at the end: the processor overlaps nothing with an atomic addition.
        part.buckets[position % PART].fetch_add(1, Relaxed);
        self.sum_nanoseconds.fetch_add(nanoseconds, Relaxed);
        if let Some(exemplar) = exemplar {
            part.keep_exemplar(position % PART / OCTAVE, exemplar);
        }
    }

    fn read(&self) -> Distribution {
        let mut distribution = Distribution {
            sum_nanoseconds: self.sum_nanoseconds.load(Relaxed),
            zero: self.zero.load(Relaxed),
            ..Distribution::default()
        };
        for (number, part) in self.parts.iter().enumerate() {
            let Some(part) = part.get() else { continue };
            let first = exponential::FIRST + (number * PART) as i32;
            for (index, bucket) in (first..).zip(&part.buckets) {
                distribution.add(index, bucket.load(Relaxed));
            }
            let slots = part.exemplars.get().into_iter().flat_map(|slots| slots.iter());
            let newest = |slot: &Mutex<_>| *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            distribution.exemplars.extend(slots.filter_map(newest));
        }
        // Prometheus accepts the exemplars of a series in order of time only.
        distribution.exemplars.sort_unstable_by_key(|exemplar| exemplar.unix_nanoseconds);
        distribution
    }
}

impl Part {
    #[cold]
    fn boxed() -> Box<Self> {
        Box::new(Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), exemplars: OnceLock::new() })
    }

    fn keep_exemplar(&self, octave: usize, exemplar: Exemplar) {
        let slots = self.exemplars.get_or_init(|| Box::new(std::array::from_fn(|_| Mutex::new(None))));
        // If a reader or another writer holds the slot, skip this exemplar: theirs is as good.
        if let Ok(mut slot) = slots[octave].try_lock() {
            *slot = Some(exemplar);
        }
    }
}

impl Source {
    fn read(&self) -> Option<Value> {
        Some(match self {
            Source::Counter(series) => Value::Integer(series.load(Relaxed) as i64),
            Source::UpDownCounter(series) => Value::Integer(series.load(Relaxed)),
            Source::Gauge(series) => match series.0.load(Relaxed) {
                ABSENT => return None,
                bits => Value::Number(f64::from_bits(bits)),
            },
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

/// The values of all metrics at one moment, or of a part of them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// One entry per metric, in order of registration.
    pub families: Vec<FamilySnapshot>,
    /// The start time of every cumulative point.
    pub started_unix_nanoseconds: u64,
    /// Start time of the same reader's previous snapshot, if there is one.
    pub previous_unix_nanoseconds: Option<u64>,
}

/// The values of one metric at one moment.
#[derive(Clone, Debug)]
pub struct FamilySnapshot {
    /// The declaration of the metric.
    pub description: MetricDescription,
    /// Every series with its value.
    pub points: Vec<(SeriesLabels, Value)>,
    /// Number of points, at the end, of series that did not exist when the snapshot before began.
    pub new_points: usize,
}

/// The value of one series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter's or up-down counter's value.
    Integer(i64),
    /// A gauge's value.
    Number(f64),
    /// A histogram's value.
    Distribution(Distribution),
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

impl Snapshot {
    /// Returns the value of the series that has exactly these labels, for tests and the demo's
    /// view.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Value> {
        let family = self.families.iter().find(|family| family.description.name == name)?;
        let matches = |series: &SeriesLabels| {
            series.len() == labels.len()
                && labels.iter().all(|(k, v)| series.iter().any(|(sk, sv)| sk == k && sv == v))
        };
        family.points.iter().find(|(series, _)| matches(series)).map(|(_, value)| value)
    }

    /// Returns the sum of all series of an integer metric, or 0 if the metric does not exist.
    pub fn total(&self, name: &str) -> i64 {
        let points =
            self.families.iter().filter(|family| family.description.name == name).flat_map(|f| &f.points);
        points.map(|(_, value)| if let Value::Integer(count) = value { *count } else { 0 }).sum()
    }
}
