//! Background work: jobs in a table, enqueued in the transaction that makes them necessary and claimed with a lease.

mod enqueue;

pub use enqueue::{NewJob, enqueue};
