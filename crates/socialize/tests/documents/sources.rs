//! The sources of the product as tokens: its functions, its types, and the calls between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One source file below `crates/*/src`, without its tests.
pub(crate) struct File {
    pub(crate) tokens: Vec<String>,
}

/// Crates whose use of a declaration does not count: they render, measure, or test.
const BESIDE_THE_PRODUCT: [&str; 6] =
    ["bench", "console", "laboratory", "monitoring", "otlp-sink", "test-support"];

/// Reads every source file of the product.
pub(crate) fn product() -> Vec<File> {
    let crates = fs::read_dir(crate::repository().join("crates")).expect("the crates").flatten();
    let names = crates.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    let names: Vec<String> = names.filter(|name| !BESIDE_THE_PRODUCT.contains(&name.as_str())).collect();
    files(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Reads every source file of these crates.
pub(crate) fn files(crates: &[&str]) -> Vec<File> {
    let mut texts = Vec::new();
    for name in crates {
        read(&crate::repository().join("crates").join(name).join("src"), &mut texts);
    }
    assert!(texts.len() > 20, "only {} files of {crates:?} were found", texts.len());
    texts.into_iter().map(|text| File { tokens: without_tests(tokens(&text)) }).collect()
}

fn read(directory: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// Splits a source text. Comments are dropped; a literal is one token.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
            continue;
        } else if let Some(content) = rest.strip_prefix("r#\"") {
            content.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if first == '"' {
            string_length(rest)
        } else if rest.starts_with("'\\") {
            rest[3..].find('\'').map_or(rest.len(), |end| end + 4)
        } else if first == '\'' && rest.chars().nth(2) == Some('\'') {
            rest.chars().take(3).map(char::len_utf8).sum()
        } else if is_part(first) {
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") || rest.starts_with("->") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        found.push(token.to_owned());
        rest = after.trim_start();
    }
    found
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (position, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return position + 1,
            _ => {}
        }
    }
    text.len()
}

fn without_tests(mut tokens: Vec<String>) -> Vec<String> {
    let tests = tokens.windows(8).position(|window| window.concat() == "#[cfg(test)]mod");
    tokens.truncate(tests.unwrap_or(tokens.len()));
    tokens
}

/// A function, and the type that it is a method of.
pub(crate) struct Function {
    pub(crate) owner: Option<String>,
    pub(crate) name: String,
    pub(crate) signature: Vec<String>,
    pub(crate) body: Vec<String>,
    /// Positions in the body of the names of functions.
    pub(crate) calls: Vec<usize>,
}

/// All functions, and for each type the types in its definition.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) functions: Vec<Function>,
    by_name: BTreeMap<String, Vec<usize>>,
    definitions: BTreeMap<String, BTreeSet<String>>,
}

impl Program {
    pub(crate) fn of(files: &[File]) -> Self {
        let mut program = Self::default();
        for file in files {
            program.read(&file.tokens);
        }
        for function in &mut program.functions {
            let is_call = |position: &usize| program.by_name.contains_key(&function.body[*position]);
            function.calls = (0..function.body.len()).filter(is_call).collect();
        }
        program
    }

    fn read(&mut self, tokens: &[String]) {
        let mut owner: (usize, Option<String>) = (0, None);
        for (position, token) in tokens.iter().enumerate() {
            let before = position.checked_sub(1).map_or("", |before| &tokens[before]);
            let is_item = matches!(before, "" | "}" | ";" | "]" | "{" | ")" | "pub" | "async");
            match token.as_str() {
                "impl" if is_item => {
                    let header = until(&tokens[position..], "{");
                    let end = position + header.len() + group(&tokens[position + header.len()..]).len();
                    owner = (end, Some(implementor(header)));
                }
                "fn" if tokens[position + 1].starts_with(is_part) => {
                    let signature = signature(&tokens[position..]);
                    let body = &tokens[position + signature.len()..];
                    let body = if body[0] == "{" { group(body) } else { &[] };
                    let function = Function {
                        owner: owner.1.clone().filter(|_| position < owner.0),
                        name: tokens[position + 1].clone(),
                        signature: signature.to_vec(),
                        body: body.to_vec(),
                        calls: Vec::new(),
                    };
                    self.by_name.entry(function.name.clone()).or_default().push(self.functions.len());
                    self.functions.push(function);
                }
                "struct" | "enum" | "type" if is_item => {
                    let header = signature(&tokens[position..]);
                    let fields = &tokens[position + header.len()..];
                    let fields = if fields[0] == "{" { group(fields) } else { &[] };
                    let fields = if token == "enum" { payloads(fields) } else { fields.to_vec() };
                    let named = types(header).chain(types(&fields)).map(str::to_owned);
                    self.definitions.entry(tokens[position + 1].clone()).or_default().extend(named);
                }
                _ => {}
            }
        }
    }

    /// Adds the types of the fields of these types, and of their fields.
    pub(crate) fn close(&self, types: &mut BTreeSet<String>) {
        let mut open: Vec<String> = types.iter().cloned().collect();
        while let Some(name) = open.pop() {
            let definition = self.definitions.get(&name).into_iter().flatten();
            open.extend(definition.filter(|name| types.insert((*name).clone())).cloned());
        }
    }

    /// Functions that the token at `position` may call: by its path, or as a method of one of `types`.
    pub(crate) fn called(&self, caller: &Function, position: usize, types: &BTreeSet<String>) -> Vec<usize> {
        let at = |position: Option<usize>| position.and_then(|position| caller.body.get(position));
        let at = |position| at(position).map_or("", String::as_str);
        let (before, after) = (at(position.checked_sub(1)), at(Some(position + 1)));
        let is_called = |owner: Option<&str>| match (before, owner) {
            (".", Some(owner)) => types.contains(owner),
            ("::", owner) => match at(position.checked_sub(2)) {
                "Self" => owner == caller.owner.as_deref(),
                ">" => owner.is_some_and(|owner| types.contains(owner)),
                path if is_type(path) => owner == Some(path),
                _module => owner.is_none(),
            },
            (_, None) => before != "." && before != "fn" && after == "(",
            _ => false,
        };
        let named = self.by_name.get(&caller.body[position]).into_iter().flatten().copied();
        named.filter(|index| is_called(self.functions[*index].owner.as_deref())).collect()
    }

    /// Returns the functions of this name that belong to this type.
    pub(crate) fn methods<'a>(&'a self, owner: &'a str, name: &str) -> impl Iterator<Item = usize> + 'a {
        let named = self.by_name.get(name).into_iter().flatten().copied();
        named.filter(move |index| self.functions[*index].owner.as_deref() == Some(owner))
    }
}

/// Returns the types that these tokens name.
pub(crate) fn types(tokens: &[String]) -> impl DoubleEndedIterator<Item = &str> {
    tokens.iter().map(String::as_str).filter(|token| is_type(token))
}

fn is_type(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_uppercase()) && token.contains(|c: char| c.is_ascii_lowercase())
}

/// Returns the tokens before the first one that equals `end`.
fn until<'a>(tokens: &'a [String], end: &str) -> &'a [String] {
    &tokens[..tokens.iter().position(|token| token == end).unwrap_or(tokens.len())]
}

/// Returns the tokens before the body of an item, or before its end.
fn signature(tokens: &[String]) -> &[String] {
    let mut depth = 0_usize;
    for (position, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" | ";" if depth == 0 => return &tokens[..position],
            _ => {}
        }
    }
    panic!("an item without an end: {:?}", &tokens[..tokens.len().min(8)]);
}

/// Returns the group in brackets with which these tokens begin.
pub(crate) fn group(tokens: &[String]) -> &[String] {
    let mut depth = 0_usize;
    for (position, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[..=position];
        }
    }
    panic!("an unclosed group: {:?}", &tokens[..tokens.len().min(8)]);
}

/// Returns the tokens of an enum's body without the names of its variants.
fn payloads(body: &[String]) -> Vec<String> {
    let mut depth = 0_usize;
    let mut inner = Vec::new();
    for token in body {
        match token.as_str() {
            "(" | "{" => depth += 1,
            ")" | "}" => depth -= 1,
            _ if depth > 1 => inner.push(token.clone()),
            _ => {}
        }
    }
    inner
}

/// Returns the type for which a header such as `impl<T> Trait for path::Type<T>` implements.
fn implementor(header: &[String]) -> String {
    let mut depth = 0_usize;
    let mut name = "";
    for token in &header[1..] {
        match token.as_str() {
            "<" => depth += 1,
            ">" => depth -= 1,
            "where" if depth == 0 => break,
            other if depth == 0 && is_type(other) => name = other,
            _ => {}
        }
    }
    name.to_owned()
}
