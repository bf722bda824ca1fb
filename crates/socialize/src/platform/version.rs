//! Version and source of this build.

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Source of this build: the commit, or a digest of the sources if the builder gave none. See `build.rs`.
pub const COMMIT: &str = env!("SOCIALIZE_COMMIT");
