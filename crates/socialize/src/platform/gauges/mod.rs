//! Gauges of the domain: the number of objects in each state, read from the database. The code that changes
//! the objects never counts them.
//!
//! `migrations/0007_gauges.sql` explains how the counts by status are kept. One process samples
//! them (see [`queue`](crate::queue)). A process that stops sampling stops reporting.

mod check;
mod counts;
mod fold;
mod sample;
mod signals;

pub(crate) use check::COMPARISON_LIMIT;
pub use check::{Difference, compare, repair};
pub use fold::fold;
pub use sample::{COUNTS_BY_STATUS, OTHER_COUNTS};
pub(crate) use sample::{GaugeLimits, sample};
pub use signals::GaugeSignals;
