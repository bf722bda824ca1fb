//! Values of gauges and histograms.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use signal::exponential;

use super::distribution::{Distribution, Exemplar};

/// The bits of an `f64`; all ones, a NaN that no measurement produces, means "absent".
pub(super) struct GaugeSeries(AtomicU64);

const ABSENT: u64 = u64::MAX;

impl Default for GaugeSeries {
    fn default() -> Self {
        Self(AtomicU64::new(ABSENT))
    }
}

impl GaugeSeries {
    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.store(ABSENT, Relaxed);
    }

    pub(super) fn value(&self) -> Option<f64> {
        let bits = self.0.load(Relaxed);
        (bits != ABSENT).then(|| f64::from_bits(bits))
    }
}

/// A distribution over the buckets of [`exponential`]. The total count is the sum of the buckets, so
/// the two cannot disagree.
#[derive(Default)]
pub(super) struct HistogramSeries {
    pub(super) sum_nanoseconds: AtomicU64,
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

impl HistogramSeries {
    #[inline]
    pub(super) fn record(&self, nanoseconds: u64, exemplar: Option<Exemplar>) {
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

    pub(super) fn read(&self) -> Distribution {
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
