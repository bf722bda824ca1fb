//! Every rendered file, and the check that the repository has its current version.

use std::path::Path;

use anyhow::Context;

pub use crate::generated::{GeneratedFile, repository};
use crate::query::Scale;
use crate::{collector, dashboards, metrics_document, rules};

/// Directory of Prometheus's files.
const PROMETHEUS: &str = "deploy/prometheus/";

/// Renders all files.
pub fn all() -> Vec<GeneratedFile> {
    let file = |path: &str, content| GeneratedFile { path: path.to_owned(), content };
    let mut files = vec![
        file("docs/METRICS.md", metrics_document::render()),
        file("docs/RUNBOOK.md", rules::render_runbook()),
        file("deploy/alertmanager/alertmanager.yml", rules::notifications::render(Scale::REAL)),
        file("deploy/alloy/config.alloy", collector::render_alloy()),
        file("deploy/otelcol/config.yaml", collector::render_open_telemetry()),
    ];
    files.extend(rules(Scale::REAL));
    files.extend(dashboards::files());
    files
}

/// Renders Prometheus's rules and their tests at a scale.
pub fn rules(scale: Scale) -> Vec<GeneratedFile> {
    let rule_file = |file: rules::RuleFile| GeneratedFile {
        path: format!("{PROMETHEUS}rules/{}.yml", file.name),
        content: file.content,
    };
    let test_file = |file: rules::RuleFile| GeneratedFile {
        path: format!("{PROMETHEUS}tests/{}.yml", file.name),
        content: file.content,
    };
    let rules = rules::render_rules(scale).into_iter().map(rule_file);
    rules.chain(rules::render_tests(scale).into_iter().map(test_file)).collect()
}

/// Renders all files below `repository`.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write(repository: &Path) -> anyhow::Result<()> {
    for file in all() {
        let path = repository.join(&file.path);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make the directory of {}", file.path))?;
        }
        std::fs::write(&path, file.content).with_context(|| format!("cannot write {}", file.path))?;
    }
    Ok(())
}

/// Renders the rules and their tests at a scale into the directories `rules` and `tests` below
/// `directory`.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn write_rules(scale: Scale, directory: &Path) -> anyhow::Result<()> {
    for file in rules(scale) {
        let path = directory.join(file.path.strip_prefix(PROMETHEUS).unwrap_or(&file.path));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make the directory {}", parent.display()))?;
        }
        std::fs::write(&path, file.content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Returns the paths of the files that are missing below `repository` or differ from the rendered
/// ones.
///
/// # Errors
/// Returns an error if an existing file cannot be read.
pub fn differing(repository: &Path) -> anyhow::Result<Vec<String>> {
    let mut differing = Vec::new();
    for file in all() {
        match std::fs::read_to_string(repository.join(&file.path)) {
            Ok(content) if content == file.content => {}
            Ok(_) => differing.push(file.path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => differing.push(file.path),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.path)),
        }
    }
    Ok(differing)
}

/// Returns the instruction that fixes differing files.
pub fn remedy(differing: &[String]) -> String {
    format!(
        "{} not as the code renders it. Run `cargo run -p monitoring -- write` and commit what changes.",
        differing.join(", ")
    )
}
