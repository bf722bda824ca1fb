//! Files that the tests keep between runs, including those that `./test` installs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the path of a Python program from `tests/requirements.txt`.
pub fn python_tool(name: &str) -> PathBuf {
    let path = cache_directory().join("python/bin").join(name);
    assert!(path.exists(), "{} is missing: `./test prepare` installs it", path.display());
    path
}

/// Returns the directory for everything kept between runs. It is outside the clone, so that all
/// clones share it.
pub fn cache_directory() -> PathBuf {
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("socialize-test")
}

pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "this is where the tests' configuration is read")]
    std::env::var_os(name).filter(|value| !value.is_empty())
}
