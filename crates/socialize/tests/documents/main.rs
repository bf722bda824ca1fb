//! Checks documents and declarations: named tests, commands and settings exist, documented statuses can
//! occur, and declarations are used.

mod lengths;
mod module_graph;
mod modules;
mod sources;
mod statuses;
mod unused;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of all test functions below a directory.
fn functions(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let names =
                text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split('(').next());
            into.extend(names.map(str::to_owned));
        }
    }
}

/// Directories of the tests that documents name.
const TESTS: [&str; 6] = [
    "crates/socialize/tests",
    "crates/socialize/src",
    "crates/telemetry/tests",
    "crates/console/tests",
    "crates/laboratory",
    "crates/cluster",
];

#[test]
fn every_fault_is_played_by_the_test_that_is_named() {
    let mut known = BTreeSet::new();
    for tests in TESTS {
        functions(&repository().join(tests), &mut known);
    }
    let faults = fs::read_to_string(repository().join("docs/FAULTS.md")).expect("the document");
    // A table ends with an empty line. Tables about other subjects have other tests.
    let is_of_faults = |table: &&str| table.starts_with("| fault") || table.starts_with("| peer");
    let tables = faults.split("\n\n").filter(is_of_faults);
    let rows = tables.flat_map(|table| table.lines().skip(2));
    let mut played = 0;
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last column");
        for test in tests.split(", ").map(|test| test.trim_matches('`')) {
            assert!(known.contains(test), "docs/FAULTS.md names the test {test}, which does not exist");
            played += 1;
        }
    }
    assert!(played > 30, "only {played} rows were read");
}

#[test]
fn every_promise_about_security_is_shown_by_the_test_that_is_named() {
    let mut known = BTreeSet::new();
    for tests in TESTS {
        functions(&repository().join(tests), &mut known);
    }
    let document = fs::read_to_string(repository().join("docs/SECURITY.md")).expect("the document");
    let tables = document.split("| promise | test |\n").skip(1);
    let rows = tables.flat_map(|table| table.lines().take_while(|line| line.starts_with('|')).skip(1));
    let mut shown = 0;
    for row in rows {
        let column = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last column");
        let tests: Vec<&str> = column.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test shows: {row}");
        for test in tests.into_iter().filter(|test| !test.starts_with("./test ")) {
            assert!(known.contains(test), "docs/SECURITY.md names the test {test}, which does not exist");
            shown += 1;
        }
    }
    assert!(shown > 20, "only {shown} tests are named");
}

/// Commands of Socialize that a document quotes, such as `socialize doctor --send-to ADDRESS`.
fn commands(document: &str) -> Vec<Vec<String>> {
    let quoted = document.split('`').skip(1).step_by(2);
    let ours = quoted.filter_map(|text| text.split_once("socialize "));
    let commands = ours.filter(|(before, _)| before.is_empty() || before.ends_with(' '));
    commands.map(|(_, rest)| rest.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn every_command_of_the_runbook_exists() {
    let runbook = fs::read_to_string(repository().join("docs/RUNBOOK.md")).expect("the document");
    let commands = commands(&runbook);
    for words in &commands {
        let is_option = |word: &&String| word.starts_with('-');
        let names = words.iter().take_while(|word| !is_option(word));
        let names = names.filter(|word| word.chars().any(char::is_lowercase));
        let options = words.iter().filter(is_option);
        let help = Command::new(env!("CARGO_BIN_EXE_socialize"))
            .args(names)
            .arg("--help")
            .output()
            .expect("the program can be run");
        assert!(help.status.success(), "`socialize {}` does not exist", words.join(" "));
        let help = String::from_utf8_lossy(&help.stdout);
        for option in options {
            assert!(help.contains(option.as_str()), "`socialize {}` has no {option}", words.join(" "));
        }
    }
    assert!(commands.len() > 10, "only {} commands were found", commands.len());
}

/// All references in an OpenAPI document.
fn references(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    into.extend(value["$ref"].as_str().map(str::to_owned));
    let inner = value.as_object().into_iter().flat_map(|object| object.values());
    inner.chain(value.as_array().into_iter().flatten()).for_each(|value| references(value, into));
}

#[test]
fn every_reference_of_the_openapi_document_leads_somewhere() {
    let document = serde_json::to_value(socialize::run::router::document()).expect("a document");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "only {} references", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a place in the same document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// Variables that only Compose and the image build read.
const OF_COMPOSE: &[&str] = &[
    "SOCIALIZE_API_OPERATIONS_PORT",
    "SOCIALIZE_COMMIT",
    "SOCIALIZE_IMAGE",
    "SOCIALIZE_PORT",
    "SOCIALIZE_WORKER_OPERATIONS_PORT",
];

#[test]
fn every_setting_that_operators_are_told_of_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_socialize"))
        .args(["serve", "--help"])
        .output()
        .expect("the program");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let mut known = 0;
    for document in
        ["docs/RUNBOOK.md", "deploy/README.md", "deploy/settings.env.example", "deploy/compose.yaml"]
    {
        let text = fs::read_to_string(repository().join(document)).expect("the document");
        for setting in text.split(|c| !is_part(c)).filter(|word| word.starts_with("SOCIALIZE_")) {
            // Secrets can be given as files.
            let is_known = |name: &str| help.split(|c| !is_part(c)).any(|word| word == name);
            let exists = OF_COMPOSE.contains(&setting)
                || is_known(setting)
                || setting.strip_suffix("_FILE").is_some_and(is_known);
            assert!(exists, "{document} names {setting}, which does not exist");
            known += 1;
        }
    }
    assert!(known > 20, "only {known} settings were found");
}
