//! Samples of series.

mod exemplars;
mod samples;
mod store;
mod usage;
mod write;

pub use exemplars::{Exemplar, Exemplars};
pub use samples::{Histogram, Labels, MetricSource, Points, STALE, SeriesId, is_stale};
pub use store::MetricStore;
pub use usage::{Limits, Usage};
pub use write::{Appended, DropReason, Dropped, Origin, Sample, Value};
