//! Names of the log events of operations, besides those of [`signal::events`]. The event of a
//! business fact has the name of its counter.

/// A database operation ended.
pub const DATABASE_OPERATION: &str = "db.client.operation";
/// A job run ended.
pub const JOB_RUN: &str = "job.run";
/// An attempt to deliver an e-mail ended.
pub const EMAIL_DELIVERY: &str = "email.delivery";
/// An operation on the blob store ended.
pub const BLOB_OPERATION: &str = "blob.operation";
/// An iteration of a background loop failed.
pub const LOOP_FAILED: &str = "loop.failed";
/// The incremental counts of a gauge differ from its table.
pub const GAUGE_DRIFTED: &str = "gauge.drifted";
