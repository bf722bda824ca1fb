//! Rendered files, and the repository that has them.

use std::path::{Path, PathBuf};

/// A file that is rendered and committed.
pub struct GeneratedFile {
    /// Path relative to the root of the repository.
    pub path: String,
    /// The rendered text.
    pub content: String,
}

/// Returns the root of the repository that this was built from.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
