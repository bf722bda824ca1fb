//! No module takes part in a cycle, and the layers of the server depend only on lower ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::module_graph::{Cycle, Graph};
use crate::repository;

/// The layers of the server, from the lowest. A module may use those of its own layer and of lower ones.
const LAYERS: &[&str] = &["platform", "queue", "app", "http", "features", "run"];

/// All crates below a directory, with the directories of their sources.
fn crates(directory: &Path, into: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.join("Cargo.toml").exists() {
                let src = path.join("src");
                let src = if src.exists() { src } else { path.clone() };
                into.push((entry.file_name().to_string_lossy().into_owned(), src));
            }
            crates(&path, into);
        }
    }
}

#[test]
fn no_module_takes_part_in_a_cycle() {
    let mut found = Vec::new();
    crates(&repository().join("crates"), &mut found);
    assert!(found.len() >= 5, "only {} crates were found", found.len());
    let mut cycles = Vec::new();
    for (name, src) in &found {
        for Cycle { module, nodes } in Graph::read(src).cycles() {
            cycles.push(format!("{name}, in `{module}`: {}", nodes.join(", ")));
        }
    }
    assert!(cycles.is_empty(), "modules use each other:\n{}", cycles.join("\n"));
}

#[test]
fn the_layers_of_the_server_are_used_downwards() {
    let graph = Graph::read(&repository().join("crates/socialize/src"));
    let layer = |module: &[String]| {
        let name = module.first()?;
        Some(LAYERS.iter().position(|layer| layer == name).unwrap_or_else(|| panic!("{name} is no layer")))
    };
    let upwards: Vec<String> = graph
        .edges()
        .filter(|(from, to)| layer(from).zip(layer(to)).is_some_and(|(from, to)| from < to))
        .map(|(from, to)| format!("{} uses {}", from.join("::"), to.join("::")))
        .collect();
    assert!(upwards.is_empty(), "a lower layer uses a higher one:\n{}", upwards.join("\n"));
    let used = |name: &str| graph.edges().any(|(_, to)| to.first().is_some_and(|first| first == name));
    assert!(LAYERS.iter().all(|name| used(name)), "a layer is not there");
}

/// Cycles of a crate with these files.
fn cycles(files: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let module = |path: &str| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let texts: BTreeMap<_, _> = files.iter().map(|(path, text)| (module(path), (*text).to_owned())).collect();
    Graph::of(texts).cycles().into_iter().map(|cycle| (cycle.module, cycle.nodes)).collect()
}

#[test]
fn a_cycle_is_found_however_it_is_written() {
    let cycle = |module: &str, nodes: &[&str]| {
        (module.to_owned(), nodes.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>())
    };
    let root = ("", "mod a;\nmod b;\n");
    for (a, b) in [
        ("use crate::b::B;", "use crate::a::A;"),
        ("use crate::{b::{B}, c};", "use super::a::{self, A};"),
        ("fn f() { crate::b::f() }", "fn f(_: &super::a::A) {}"),
        ("use crate::b as other;", "mod tests { use super::super::a::A; }"),
        ("pub use crate::b::B; struct A(B);", "use crate::a::A;"),
    ] {
        assert_eq!(cycles(&[root, ("a", a), ("b", b)]), [cycle("", &["a", "b"])], "{a} {b}");
    }
    for (a, b) in [
        ("use crate::b::B;", ""),
        ("// use crate::b::B;", "use crate::a::A;"),
        ("const A: &str = \"crate::b::B\";", "use crate::a::A;"),
        ("pub(in crate::b) struct A;", "use crate::a::A;"),
        ("pub use crate::b::B;", "use crate::a::A;"),
        ("use b::B;", "use crate::a::A;"),
    ] {
        assert_eq!(cycles(&[root, ("a", a), ("b", b)]), [], "{a} {b}");
    }
    // A module may list its children, and re-export names that they use of each other.
    let parent = ("a", "mod x; mod y; pub use self::x::X;");
    assert_eq!(cycles(&[root, parent, ("a::x", ""), ("a::y", "use super::X;")]), []);
    let caller = ("a", "mod x; mod y; pub use self::x::X; fn f() { y::f() } pub struct A;");
    let both = [root, caller, ("a::x", "use super::A;"), ("a::y", "use super::X;")];
    assert_eq!(cycles(&both), [cycle("a", &["(own file)", "x", "y"])]);
    // A use through a re-export is a use of the original.
    let outside = ("b", "use crate::a::X;");
    let through = [root, parent, ("a::x", "use crate::b::B;"), ("a::y", ""), outside];
    assert_eq!(cycles(&through), [cycle("", &["a", "b"])]);
}
