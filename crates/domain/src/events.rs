//! The names of the log events of operations, beside those that [`telemetry::events`] names. A business fact is an event
//! of its counter's name.

/// Each operation of the database.
pub const DATABASE_OPERATION: &str = "db.client.operation";
/// Each run of a job.
pub const JOB_RUN: &str = "job.run";
/// Each attempt to deliver an e-mail.
pub const EMAIL_DELIVERY: &str = "email.delivery";
/// Each operation on the store of uploaded files.
pub const BLOB_OPERATION: &str = "blob.operation";
/// A turn of a background loop failed.
pub const LOOP_FAILED: &str = "loop.failed";
/// The counts behind a gauge differ from its table.
pub const GAUGE_DRIFTED: &str = "gauge.drifted";
