//! Names of the log events that `telemetry` writes, about itself and about the operations it knows.

/// An HTTP request was served.
pub const SERVER_REQUEST: &str = "http.server.request";
/// An HTTP request to another service ended.
pub const CLIENT_REQUEST: &str = "http.client.request";
/// A dependency stopped answering.
pub const DEPENDENCY_DOWN: &str = "dependency.down";
/// A dependency answers again after a failure.
pub const DEPENDENCY_UP: &str = "dependency.up";
/// A panic anywhere in the process.
pub const PANIC: &str = "panic";
/// Telemetry could not be exported.
pub const EXPORT_FAILED: &str = "telemetry.export.failed";
