//! Contents of the store of spans, with counts of refused and cut parts.

use std::path::PathBuf;

/// Counts of refused and cut parts. A refused span is not stored at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanLosses {
    /// Spans refused because of a missing id.
    pub without_id: u64,
    /// Attributes left out because the span had too many.
    pub attributes: u64,
    /// Values cut because they were too long.
    pub values: u64,
    /// Links left out because the span had too many.
    pub links: u64,
    /// Events left out because the span had too many.
    pub events: u64,
}

impl SpanLosses {
    /// Adds other numbers.
    pub fn add(&mut self, other: Self) {
        self.without_id += other.without_id;
        self.attributes += other.attributes;
        self.values += other.values;
        self.links += other.links;
        self.events += other.events;
    }
}

/// Contents of a store of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanUsage {
    /// Number of spans held.
    pub spans: u64,
    /// Bytes of memory used.
    pub bytes: usize,
    /// Maximum of `bytes`.
    pub bound: usize,
    /// Bytes used on disk.
    pub disk_bytes: u64,
    /// Maximum of `disk_bytes`; zero if nothing is kept on disk.
    pub disk_bound: u64,
    /// Unix time in nanoseconds of the oldest start.
    pub oldest_ns: Option<u64>,
    /// Number of evicted spans.
    pub evicted: u64,
    /// Counts of refused and cut parts.
    pub losses: SpanLosses,
    /// Files that were damaged or unknown and were set aside, with the reason.
    pub set_aside: Vec<(PathBuf, String)>,
    /// The error of the last attempt to write to disk, if it failed.
    pub disk_error: Option<String>,
}
