//! What the tests keep between runs, and what `./test` has put there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The path of a Python program of `tests/requirements.txt`.
pub fn python_tool(name: &str) -> PathBuf {
    let path = cache_directory().join("python/bin").join(name);
    assert!(path.exists(), "{} is missing: `./test prepare` installs it", path.display());
    path
}

/// Where the tests keep what is worth keeping between runs: outside the clone, so that all clones share it.
pub fn cache_directory() -> PathBuf {
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("socialize-test")
}

pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "this is where the tests' configuration is read")]
    std::env::var_os(name).filter(|value| !value.is_empty())
}
