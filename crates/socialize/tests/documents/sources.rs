//! The sources of the product as tokens.

use std::fs;
use std::path::Path;

/// One source file below `crates/*/src`, without its tests.
pub(crate) struct File {
    pub(crate) text: String,
    pub(crate) tokens: Vec<String>,
}

/// Reads every source file of these crates.
pub(crate) fn files(crates: &[&str]) -> Vec<File> {
    let mut texts = Vec::new();
    for name in crates {
        read(&crate::repository().join("crates").join(name).join("src"), &mut texts);
    }
    assert!(texts.len() > 20, "only {} files of {crates:?} were found", texts.len());
    texts.into_iter().map(|text| File { tokens: without_tests(tokens(&text)), text }).collect()
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
        } else if rest.starts_with("r#\"") {
            rest[3..].find("\"#").map_or(rest.len(), |end| end + 5)
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
