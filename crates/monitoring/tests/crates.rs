//! Dependencies of the workspace's crates: their direction, and the number of dependencies of declaring
//! crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Maximum number of crates that a crate of declarations compiles, with itself.
const MOST_CRATES: usize = 25;

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn crates_of_declarations_compile_few_others() {
    for name in ["signal", "domain", "catalogue", "monitoring"] {
        let tree =
            cargo(&["tree", "--package", name, "--edges", "normal", "--prefix", "none", "--no-dedupe"]);
        let crates: BTreeSet<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
        let number = crates.len();
        assert!(crates.iter().any(|line| line.starts_with(name)), "{name} is not in its own tree");
        assert!(number <= MOST_CRATES, "{name} compiles {number} crates: {crates:#?}");
    }
}

/// Crates of the workspace, in the document's order, with their allowed dependencies.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ARCHITECTURE.md");
    let document = std::fs::read_to_string(path).expect("the document");
    let rows = document.lines().skip_while(|line| !line.starts_with("| crate | may depend on |")).skip(2);
    let mut crates: Vec<(String, BTreeSet<String>)> = Vec::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names = |cell: &str| -> BTreeSet<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let name = names(cells[1]).pop_first().expect("a name");
        let allowed = match cells[2] {
            "all above" => crates.iter().map(|(above, _)| above.clone()).collect(),
            cell => names(cell),
        };
        crates.push((name, allowed));
    }
    crates
}

/// Crates of the workspace, with those of them that each depends on outside of its tests.
fn actual() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        let ours = all.iter().filter(|each| each["path"].is_string() && each["kind"].is_null());
        ours.map(|each| text(&each["name"])).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), dependencies(package))).collect()
}

#[test]
fn crates_depend_on_each_other_as_documented() {
    let (documented, actual) = (documented(), actual());
    let names: BTreeSet<&String> = documented.iter().map(|(name, _)| name).collect();
    assert_eq!(names, actual.keys().collect(), "the table lists exactly the crates of the workspace");
    let mut above = BTreeSet::new();
    for (name, allowed) in &documented {
        assert!(allowed.is_subset(&above), "{name} may depend only on crates above it");
        let unexpected: Vec<&String> = actual[name].difference(allowed).collect();
        assert!(unexpected.is_empty(), "{name} depends on {unexpected:?}, which the table does not allow");
        above.insert(name.clone());
    }
}
