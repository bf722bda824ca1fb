//! How many things of the domain are in which state, read from the database. The code that changes them never counts.
//!
//! `migrations/0007_gauges.sql` says how the counts by status are kept. One process samples them (see
//! [`queue`](crate::queue)); what it no longer knows it no longer reports.

mod check;
mod fold;
mod sample;
mod signals;

pub(crate) use check::COMPARISON_LIMIT;
pub use check::{Difference, compare, repair};
pub use fold::fold;
pub(crate) use sample::sample;
pub use sample::{COUNTS_BY_STATUS, OTHER_COUNTS};
pub use signals::GaugeSignals;
