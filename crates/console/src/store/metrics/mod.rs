//! Samples of series.

mod samples;

pub use samples::{Histogram, Labels, MetricSource, Points, SeriesId};
