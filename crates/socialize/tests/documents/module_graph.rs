//! The graph of the modules of a crate, read from its sources.
//!
//! - A file depends on the file that declares a name it uses. Re-exports are followed: `use super::X` depends on
//!   the sibling from which `super` re-exports `X`, and not on `super`.
//! - `mod x;` is not a dependency. A re-export is one only if its file also uses the name. So a `mod.rs` may
//!   list its children and re-export their names.
//! - In a module, each child counts as one node together with everything below it, and the module's own file
//!   counts as another. If no module has a cycle among these nodes, files have none either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Path of a module within its crate; the root's is empty.
pub(crate) type Module = Vec<String>;

/// Name of the node for a module's own file.
const OWN_FILE: &str = "(own file)";

/// The uses between the files of a crate.
pub(crate) struct Graph {
    files: BTreeMap<Module, Source>,
    edges: BTreeMap<Module, BTreeSet<Module>>,
}

/// A cycle among the nodes of a module.
#[derive(Debug, PartialEq)]
pub(crate) struct Cycle {
    pub(crate) module: String,
    pub(crate) nodes: Vec<String>,
}

#[derive(Default)]
struct Source {
    uses: Vec<Use>,
    /// Paths outside of `use` declarations.
    paths: Vec<(Vec<String>, usize)>,
    /// Names outside of `use` declarations.
    names: BTreeSet<String>,
}

/// One name of a `use` declaration.
#[derive(Debug, PartialEq)]
struct Use {
    path: Vec<String>,
    name: String,
    is_public: bool,
    /// Number of inline modules around it.
    depth: usize,
}

impl Graph {
    /// Reads the sources of a crate. The root is the library, or the program if there is no library.
    pub(crate) fn read(src: &Path) -> Self {
        let mut texts = BTreeMap::new();
        gather(src, &mut Vec::new(), &mut texts);
        let library = texts.remove(&vec!["lib".to_owned()]);
        let program = texts.remove(&vec!["main".to_owned()]);
        texts.insert(Vec::new(), library.or(program).expect("a root"));
        Self::of(texts)
    }

    /// Builds the graph of these texts.
    pub(crate) fn of(texts: BTreeMap<Module, String>) -> Self {
        let files = texts.into_iter().map(|(module, text)| (module, Source::parse(&text))).collect();
        let mut graph = Self { files, edges: BTreeMap::new() };
        graph.edges = graph.files.keys().map(|module| (module.clone(), graph.uses_of(module))).collect();
        graph
    }

    /// All uses, from the using file to the declaring one.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (&Module, &Module)> {
        self.edges.iter().flat_map(|(from, uses)| uses.iter().map(move |to| (from, to)))
    }

    /// Cycles within each module.
    pub(crate) fn cycles(&self) -> Vec<Cycle> {
        let parents: BTreeSet<&[String]> =
            self.files.keys().filter_map(|module| Some(module.split_last()?.1)).collect();
        parents.into_iter().flat_map(|parent| self.cycles_in(parent)).collect()
    }

    fn cycles_in(&self, parent: &[String]) -> Vec<Cycle> {
        let node = |module: &Module| {
            let below = module.strip_prefix(parent)?;
            Some(below.first().map_or(OWN_FILE, String::as_str).to_owned())
        };
        let mut nodes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in self.edges() {
            if let (Some(from), Some(to)) = (node(from), node(to))
                && from != to
            {
                nodes.entry(from).or_default().insert(to);
            }
        }
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            nodes.keys().map(|from| (from, reachable(&nodes, from))).collect();
        let mut cycles = BTreeSet::new();
        for (from, to) in reached.iter().filter(|(from, to)| to.contains(*from)) {
            let back = |other: &&&String| reached.get(**other).is_some_and(|back| back.contains(from));
            cycles.insert(to.iter().filter(back).map(|name| (*name).clone()).collect::<Vec<_>>());
        }
        let module = parent.join("::");
        cycles.into_iter().map(|nodes| Cycle { module: module.clone(), nodes }).collect()
    }

    fn uses_of(&self, module: &Module) -> BTreeSet<Module> {
        let source = &self.files[module];
        let is_used = |one: &&Use| !one.is_public || source.names.contains(&one.name);
        let declared = source.uses.iter().filter(is_used).map(|one| (&one.path, one.depth));
        let inline = source.paths.iter().map(|(path, depth)| (path, *depth));
        let targets = declared.chain(inline).filter_map(|(path, depth)| self.resolve(module, path, depth, 0));
        targets.filter(|target| target != module).collect()
    }

    /// Finds the file that declares what a path names; `None` for paths into other crates.
    fn resolve(&self, from: &Module, path: &[String], depth: usize, steps: usize) -> Option<Module> {
        let mut rest = path;
        let mut at = match path.first()?.as_str() {
            "crate" => {
                rest = &path[1..];
                Vec::new()
            }
            "self" => {
                rest = &path[1..];
                from.clone()
            }
            "super" => {
                let mut at = from.clone();
                // The first ones only leave the inline modules.
                for left in (0..depth).map(Some).chain(std::iter::repeat(None)) {
                    if rest.first().is_none_or(|first| first != "super") {
                        break;
                    }
                    rest = &rest[1..];
                    if left.is_none() {
                        at.pop();
                    }
                }
                at
            }
            _ => {
                let child = [from, &path[..1]].concat();
                self.files.contains_key(&child).then(|| from.clone())?
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                at = child;
                rest = after;
                continue;
            }
            let exported = self.files.get(&at)?.uses.iter().find(|one| one.is_public && one.name == *name);
            // A re-export that leads to itself would be followed forever.
            if let Some(exported) = exported.filter(|_| steps < 8) {
                let path = [&exported.path[..], after].concat();
                return Some(self.resolve(&at, &path, exported.depth, steps + 1).unwrap_or(at));
            }
            break;
        }
        Some(at)
    }
}

fn reachable<'a>(nodes: &'a BTreeMap<String, BTreeSet<String>>, from: &String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = nodes[from].iter().collect();
    while let Some(node) = next.pop() {
        if found.insert(node) {
            next.extend(nodes.get(node).into_iter().flatten());
        }
    }
    found
}

fn gather(directory: &Path, at: &mut Module, into: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            at.push(name);
            gather(&path, at, into);
            at.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let own = (name != "mod").then_some(name);
            into.insert(at.iter().cloned().chain(own).collect(), text);
        }
    }
}

impl Source {
    fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let (mut braces, mut inline) = (0_usize, Vec::new());
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map_or("", |before| tokens[before]);
            match tokens[at] {
                "{" => braces += 1,
                "}" => {
                    braces = braces.saturating_sub(1);
                    inline.pop_if(|opened| *opened >= braces);
                }
                "mod" if tokens.get(at + 2) == Some(&"{") => {
                    inline.push(braces);
                    at += 1;
                }
                "mod" => at += 1,
                "pub" if tokens.get(at + 1) == Some(&"(") => {
                    at += tokens[at..].iter().position(|token| *token == ")").unwrap_or(0);
                }
                "use" if matches!(before, "" | ";" | "}" | "{" | "]" | "pub" | ")") => {
                    let end = at + tokens[at..].iter().position(|token| *token == ";").unwrap_or(0);
                    let is_public = matches!(before, "pub" | ")");
                    expand(&tokens[at + 1..end], &[], &mut |path, name| {
                        source.uses.push(Use { path, name, is_public, depth: inline.len() });
                    });
                    at = end;
                }
                token if is_word(token) && before != "::" && before != "." => {
                    let mut path = vec![token.to_owned()];
                    while tokens.get(at + 1) == Some(&"::")
                        && tokens.get(at + 2).is_some_and(|next| is_word(next))
                    {
                        path.push(tokens[at + 2].to_owned());
                        at += 2;
                    }
                    source.names.insert(path[0].clone());
                    if path.len() > 1 {
                        source.paths.push((path, inline.len()));
                    }
                }
                _ => {}
            }
            at += 1;
        }
        source
    }
}

/// Calls `found` with the path and the name of every leaf of a `use` declaration.
fn expand(tree: &[&str], before: &[String], found: &mut impl FnMut(Vec<String>, String)) {
    let mut path = before.to_vec();
    for (position, token) in tree.iter().enumerate() {
        match *token {
            "{" => {
                let inner = &tree[position + 1..tree.len() - 1];
                let mut depth = 0_i32;
                let branches = inner.split(|token| {
                    depth += i32::from(*token == "{") - i32::from(*token == "}");
                    depth == 0 && *token == ","
                });
                branches.for_each(|branch| expand(branch, &path, found));
                return;
            }
            "as" => break,
            "self" if !path.is_empty() => {}
            word if is_word(word) => path.push(word.to_owned()),
            _ => {}
        }
    }
    let alias = tree.iter().position(|token| *token == "as").and_then(|position| tree.get(position + 1));
    if let Some(name) = alias.map(|alias| (*alias).to_owned()).or_else(|| path.last().cloned()) {
        found(path, name);
    }
}

/// Splits a source text into words, `::` and other characters, without comments and literals.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r\"") || rest.starts_with("r#\"") {
            let end = if rest.starts_with("r#") { "\"#" } else { "\"" };
            rest[3..].find(end).map_or(rest.len(), |found| 3 + found + end.len())
        } else if first == '"' {
            literal(rest, '"')
        } else if first == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            literal(rest, '\'')
        } else {
            let length = match first {
                ':' if rest.starts_with("::") => 2,
                _ if first.is_alphanumeric() || first == '_' => {
                    rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
                }
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                tokens.push(&rest[..length]);
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// Length of a literal in quotes.
fn literal(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        if character == quote && !is_escaped {
            return position + 1;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    text.len()
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}
