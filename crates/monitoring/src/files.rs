//! Every file that is rendered, and whether the repository has it as it would be rendered now.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{collector, metrics_document};

/// A file that is rendered and committed.
pub struct GeneratedFile {
    /// Where it is, from the root of the repository.
    pub path: &'static str,
    /// What it contains.
    pub content: String,
}

/// All of them.
pub fn all() -> Vec<GeneratedFile> {
    vec![
        GeneratedFile { path: "docs/METRICS.md", content: metrics_document::render() },
        GeneratedFile { path: "deploy/alloy/config.alloy", content: collector::render_alloy() },
        GeneratedFile { path: "deploy/otelcol/config.yaml", content: collector::render_open_telemetry() },
    ]
}

/// The repository that this was built from.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Renders all files below `repository`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(repository: &Path) -> anyhow::Result<()> {
    for file in all() {
        let path = repository.join(file.path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make the directory of {}", file.path))?;
        }
        std::fs::write(&path, file.content).with_context(|| format!("cannot write {}", file.path))?;
    }
    Ok(())
}

/// The files that are missing below `repository` or differ from what would be rendered.
///
/// # Errors
/// When a file that exists cannot be read.
pub fn differing(repository: &Path) -> anyhow::Result<Vec<&'static str>> {
    let mut differing = Vec::new();
    for file in all() {
        match std::fs::read_to_string(repository.join(file.path)) {
            Ok(content) if content == file.content => {}
            Ok(_) => differing.push(file.path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => differing.push(file.path),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.path)),
        }
    }
    Ok(differing)
}

/// What to do about files that differ.
pub fn remedy(differing: &[&str]) -> String {
    format!(
        "{} not as the code renders it. Run `cargo run -p monitoring -- write` and commit what changes.",
        differing.join(", ")
    )
}
