//! Limits of the store and their usage.

use std::time::Duration;

use super::{Dropped, Origin};

/// Limits of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum memory in bytes.
    pub memory: usize,
    /// Maximum size of the files in bytes.
    pub disk: u64,
    /// Maximum number of series.
    pub series: usize,
    /// Maximum number of labels of a series.
    pub labels: usize,
    /// Maximum length of a name or the value of a label in bytes.
    pub text: usize,
    /// Maximum number of non-empty buckets of a histogram.
    pub buckets: usize,
    /// Retention of all samples of processes.
    pub full: Duration,
    /// Retention of rolled-up samples and samples of rules.
    pub rolled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            memory: 32 * MIB,
            disk: 128 * MIB as u64,
            series: 20_000,
            labels: 32,
            text: 1024,
            buckets: 640,
            full: 2 * DAY,
            rolled: 30 * DAY,
        }
    }
}

/// A process whose collections are older than its newest samples, because its clock was set back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetBack {
    /// Source of the samples.
    pub origin: Origin,
    /// Time of the newest sample. Later ones are kept again.
    pub newest: i64,
    /// Time of the newest collection that was refused.
    pub at: i64,
    /// Number of samples that were refused since the clock was set back.
    pub refused: u64,
}

/// Usage of a store. Times are Unix times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    pub limits: Limits,
    /// Memory in use, in bytes.
    pub memory: usize,
    /// Size of the files in bytes.
    pub disk: u64,
    /// Number of series.
    pub series: usize,
    /// Number of samples in memory.
    pub samples: u64,
    /// Time of the oldest sample that is not rolled up.
    pub oldest_full: Option<i64>,
    /// Time of the oldest sample.
    pub oldest: Option<i64>,
    /// Time of the newest sample.
    pub newest: Option<i64>,
    /// Samples refused since the start.
    pub dropped: Dropped,
    /// Processes whose samples are refused at present, because their clock was set back.
    pub set_back: Vec<SetBack>,
    /// Messages about files that could not be read or written, newest last.
    pub problems: Vec<String>,
}
