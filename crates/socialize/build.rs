//! Names the sources of the build: the commit given by the builder, or a digest of the sources. So different
//! builds always differ in `socialize.build.info`, and dashboards show each release.
//!
//! git is not called, because images are built without history, and a checkout may have changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Name of the commit, if the builder knows it.
const COMMIT: &str = "SOCIALIZE_COMMIT";

/// Everything that determines the program's behaviour, relative to the repository's root.
const SOURCES: &[&str] = &[
    "Cargo.lock",
    "crates/catalogue/Cargo.toml",
    "crates/catalogue/src",
    "crates/domain/Cargo.toml",
    "crates/domain/src",
    "crates/signal-derive/Cargo.toml",
    "crates/signal-derive/src",
    "crates/signal/Cargo.toml",
    "crates/signal/src",
    "crates/telemetry/Cargo.toml",
    "crates/telemetry/src",
    "crates/socialize/Cargo.toml",
    "crates/socialize/build.rs",
    "crates/socialize/migrations",
    "crates/socialize/src",
    "crates/socialize/templates",
];

#[expect(clippy::disallowed_methods, reason = "a build has no configuration but its environment")]
fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed={COMMIT}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = BTreeSet::new();
    for source in SOURCES {
        let path = root.join(source);
        println!("cargo:rerun-if-changed={}", path.display());
        gather(&path, &mut files)?;
    }
    let named = std::env::var(COMMIT).ok().filter(|commit| !commit.is_empty() && commit != "unknown");
    let commit = match named {
        Some(commit) => commit,
        None => format!("sources-{:016x}", digest(&root, &files)?),
    };
    println!("cargo:rustc-env={COMMIT}={commit}");
    Ok(())
}

/// Collects all files below a path, or the path itself.
fn gather(path: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.insert(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        gather(&entry?.path(), files)?;
    }
    Ok(())
}

/// FNV-1a over names and contents: collisions are not adversarial here, and it needs no dependency.
fn digest(root: &Path, files: &BTreeSet<PathBuf>) -> io::Result<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(file);
        let content = fs::read(file)?;
        add(name.as_os_str().as_encoded_bytes());
        add(&content.len().to_le_bytes());
        add(&content);
    }
    Ok(hash)
}
