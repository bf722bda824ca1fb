//! The major versions of Postgres that a cluster can run on.

/// Oldest supported major version.
pub(super) const OLDEST_MAJOR: u32 = 15;
/// Newest supported major version.
pub(super) const NEWEST_MAJOR: u32 = 18;
