//! Samples of series.
//!
//! ```text
//! append ─► clock of an origin ─► columns that grow ─► blocks ─► rolled-up blocks
//!               └► journal                                └► files of blocks
//! ```

mod block;
mod changes;
mod clock;
mod column;
mod continuity;
mod exemplars;
mod files;
mod growing;
mod histograms;
mod load;
mod numbers;
mod registry;
mod retention;
mod samples;
mod store;
mod usage;
mod varint;
mod write;

#[cfg(test)]
mod tests;

pub use exemplars::{Exemplar, Exemplars};
pub use samples::{
    CounterPoints, FindWindows, Histogram, Labels, MetricSource, Points, STALE, SeriesId, WindowChange,
    WindowChanges, is_stale,
};
pub use store::MetricStore;
pub use usage::{Limits, SetBack, Usage};
pub use write::{Appended, DropReason, Dropped, Origin, Sample, Value};
