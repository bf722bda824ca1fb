//! Samples, as input of the store.

use std::sync::Arc;

use super::{Histogram, Labels};

/// A producer of samples. All series that it collects at one time share a timestamp.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A process that exports its metrics.
    Process {
        /// Label `job`: namespace and name of the service.
        job: Arc<str>,
        /// Label `instance`: the process.
        instance: Arc<str>,
    },
    /// A group of rules that are evaluated together. Its series are never rolled up, because rules count
    /// their samples over days.
    Rules {
        /// Name of the group.
        group: Arc<str>,
    },
}

impl Origin {
    /// Creates the origin of series that a process exports.
    pub fn process(job: impl Into<Arc<str>>, instance: impl Into<Arc<str>>) -> Self {
        Self::Process { job: job.into(), instance: instance.into() }
    }

    /// Creates the origin of series that a group of rules writes.
    pub fn rules(group: impl Into<Arc<str>>) -> Self {
        Self::Rules { group: group.into() }
    }
}

/// A sample of one series. Its timestamp is that of the collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric as Prometheus spells it.
    pub name: Arc<str>,
    /// All labels except the name.
    pub labels: Labels,
    pub value: Value,
}

/// Value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, or [`STALE`](super::STALE).
    Number(f64),
    /// A histogram. Its sum is [`STALE`](super::STALE) to mark the end of the series.
    Histogram(Arc<Histogram>),
}

/// Reasons to refuse samples or drop old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The store has the maximum number of series.
    TooManySeries,
    /// The series has too many labels.
    TooManyLabels,
    /// A name or label value is too long.
    TooLong,
    /// The series already has a sample of that time or later.
    OutOfOrder,
    /// The whole collection is older than the newest one of its process.
    SetBack,
    /// The histogram has too many buckets.
    TooManyBuckets,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::TooManySeries,
        Self::TooManyLabels,
        Self::TooLong,
        Self::OutOfOrder,
        Self::SetBack,
        Self::TooManyBuckets,
    ];

    /// Returns the reason as text for pages and senders.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TooManySeries => "The console holds its maximum number of series.",
            Self::TooManyLabels => "The series has too many labels.",
            Self::TooLong => "A name or a label's value is too long.",
            Self::OutOfOrder => "The series already has a sample of that time or a newer one.",
            Self::SetBack => {
                "The samples are older than the newest of their process, as after its clock was set back. Later ones \
                 are kept again."
            }
            Self::TooManyBuckets => "The histogram has too many buckets.",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// Number of samples for each [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// Counts samples.
    pub fn add(&mut self, reason: DropReason, samples: u64) {
        self.0[reason.index()] += samples;
    }

    /// Returns the number of samples with a reason.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason.index()]
    }

    /// Returns the reasons that occurred, with the number of samples.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.get(reason)))
            .filter(|(_, samples)| *samples > 0)
    }

    /// Returns the number of samples of all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (sum, samples) in self.0.iter_mut().zip(other.0) {
            *sum += samples;
        }
    }
}

/// Result of an append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Number of samples that were stored.
    pub accepted: u64,
    /// Refused samples.
    pub refused: Dropped,
}
