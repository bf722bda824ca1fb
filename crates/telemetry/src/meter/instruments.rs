//! Instruments, through which values are recorded.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use signal::metric::LabelSet;

use super::distribution::Exemplar;
use super::series::{GaugeSeries, HistogramSeries};

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
    pub(super) series: Box<[Arc<AtomicU64>]>,
    pub(super) labels: PhantomData<fn(L)>,
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
    pub(super) series: Box<[Arc<AtomicI64>]>,
    pub(super) labels: PhantomData<fn(L)>,
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
pub struct BoundUpDownCounter(pub(super) Arc<AtomicI64>);

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
    pub(super) series: Box<[Arc<GaugeSeries>]>,
    pub(super) labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> Gauge<L> {
    /// Sets the value that is reported from now on.
    pub fn set(&self, labels: L, value: f64) {
        self.series[labels.series_index()].set(value);
    }

    /// Stops reporting every series, because a value that is no longer measured would be wrong.
    pub fn clear(&self) {
        for series in &self.series {
            series.clear();
        }
    }
}

/// A distribution of durations over buckets.
pub struct Histogram<L = ()> {
    pub(super) series: Box<[Arc<HistogramSeries>]>,
    pub(super) labels: PhantomData<fn(L)>,
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
pub struct BoundHistogram(pub(super) Arc<HistogramSeries>);

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
