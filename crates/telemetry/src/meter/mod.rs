//! Instruments, which hold the values of every metric, and the registry of all instruments.
//!
//! A series is a handful of atomics that exists from the start. Recording is one or two relaxed
//! additions, and a reader sees every series, including those that are still zero. There is no
//! global registry: instruments are built from the [`Meter`] that is passed to them.

mod distribution;
mod instruments;
mod registry;
mod series;
mod series_by_attributes;
mod snapshot;

pub use distribution::{Distribution, Exemplar};
pub use instruments::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Gauge, Histogram, InFlight, UpDownCounter,
};
pub use registry::{Meter, SnapshotReader};
pub use series_by_attributes::SeriesByAttributes;
pub use snapshot::{FamilySnapshot, Snapshot, Value};
