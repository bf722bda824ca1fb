//! What the documents promise about tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of all functions in the tests below a directory.
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

#[test]
fn every_fault_is_played_by_the_test_that_is_named() {
    let mut known = BTreeSet::new();
    for tests in ["crates/socialize/tests", "crates/telemetry/tests"] {
        functions(&repository().join(tests), &mut known);
    }
    let faults = fs::read_to_string(repository().join("docs/FAULTS.md")).expect("the document");
    let rows = faults.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault"));
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
