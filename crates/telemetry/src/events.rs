//! The names of the log events that this crate writes about itself and about the operations that it knows.

/// Each request that was answered.
pub const SERVER_REQUEST: &str = "http.server.request";
/// Each call to somebody else.
pub const CLIENT_REQUEST: &str = "http.client.request";
/// A dependency stopped answering.
pub const DEPENDENCY_DOWN: &str = "dependency.down";
/// A dependency answers again.
pub const DEPENDENCY_UP: &str = "dependency.up";
/// A panic anywhere in the process.
pub const PANIC: &str = "panic";
/// Telemetry could not be sent.
pub const EXPORT_FAILED: &str = "telemetry.export.failed";
