//! Runs scripts in the notation of Prometheus' `promqltest`.

mod lexer;
mod parser;
mod script;
mod source;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use script::{Outcome, run};

/// Directory of Prometheus' own scripts, `promql/promqltest/testdata`; if set, they run as well.
const SCRIPTS: &str = "PROMQLTEST_SCRIPTS";

fn scripts(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).expect("a directory with scripts");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let scripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "test"));
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a script"))
    };
    scripts.map(read).collect()
}

#[test]
fn cases_have_the_results_of_prometheus() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/cases");
    let mut failures = String::new();
    for (name, script) in scripts(&directory) {
        let outcomes = run(&script);
        assert!(!outcomes.is_empty(), "{name} has no case");
        for (line, query, outcome) in outcomes.iter().filter(|(.., outcome)| *outcome != Outcome::Passed) {
            let _ = writeln!(failures, "{name}:{line}: {query}\n    {outcome:?}");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
#[ignore = "needs Prometheus' own scripts, which are not part of this repository"]
fn prometheus_own_scripts_pass_as_far_as_the_tree_has_their_functions() {
    let directory = crate::variable(SCRIPTS).unwrap_or_else(|| panic!("{SCRIPTS} is not set"));
    let (mut passed, mut failed) = (0, 0);
    let mut unsupported: BTreeMap<String, usize> = BTreeMap::new();
    for (name, script) in scripts(Path::new(&directory)) {
        let (passed_before, failed_before) = (passed, failed);
        let outcomes = run(&script);
        let count = outcomes.len();
        for (line, query, outcome) in outcomes {
            match outcome {
                Outcome::Passed => passed += 1,
                Outcome::Unsupported(reason) => *unsupported.entry(reason).or_default() += 1,
                Outcome::Failed(difference) => {
                    failed += 1;
                    eprintln!("{name}:{line}: {query}\n    {difference}");
                }
            }
        }
        eprintln!(
            "{name}: {count} cases, {} passed, {} failed",
            passed - passed_before,
            failed - failed_before
        );
    }
    eprintln!("{passed} passed, {failed} failed; not expressible:");
    for (reason, count) in unsupported {
        eprintln!("{count:6} {reason}");
    }
    assert_eq!(failed, 0, "results differ from those of Prometheus");
    assert!(passed > 0, "no case was expressible");
}
