//! A file of more than 400 lines has one subject, and its head says why that takes so many.

use std::fs;
use std::path::Path;

/// Number of lines from which a reason is needed.
const LONG: usize = 400;

#[test]
fn a_long_file_gives_its_reason() {
    let mut long = Vec::new();
    find_long(&crate::repository().join("crates"), &mut long);
    assert!(long.len() > 10, "only {} long files were found", long.len());
    let is_unexplained = |(_, head): &&(String, String)| !head.contains("Long because");
    let unexplained: Vec<&String> = long.iter().filter(is_unexplained).map(|(path, _)| path).collect();
    assert!(unexplained.is_empty(), "split them, or write `Long because` into their heads: {unexplained:?}");
}

/// Finds the paths and head comments of long files.
fn find_long(directory: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_long(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            if text.lines().count() > LONG {
                let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
                into.push((path.display().to_string(), head.concat()));
            }
        }
    }
}
