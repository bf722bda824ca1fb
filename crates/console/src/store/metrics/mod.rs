//! Samples of series.

mod samples;

pub use samples::{Histogram, Labels, MetricSource, Points, STALE, SeriesId, is_stale};
