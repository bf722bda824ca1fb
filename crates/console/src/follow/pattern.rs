//! Patterns of names of log files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of a log file, with at most one `*` in its last part. Rotated files beside it belong to
/// it: `api.jsonl` also means `api.000007.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    directory: PathBuf,
    name: Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// A file and its rotated predecessors: the parts before and after the number.
    Exact { stem: String, ending: String },
    /// All names with this beginning and end.
    Wild { start: String, end: String },
}

/// The text is not a pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no log files: give a file such as /var/log/socialize/api.jsonl, or a pattern with one * \
     in the name such as /var/log/socialize/api*.jsonl"
)]
pub struct NoPattern(String);

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        Self::parse(text).ok_or_else(|| NoPattern(text.to_owned()))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let path = Path::new(text);
        let name = path.file_name()?.to_str()?;
        let directory = match path.parent()? {
            parent if parent == Path::new("") => PathBuf::from("."),
            parent => parent.to_path_buf(),
        };
        if text.ends_with('/') || directory.to_str()?.contains('*') {
            return None;
        }
        let name = match name.split_once('*') {
            Some((_, end)) if end.contains('*') => return None,
            Some((start, end)) => Name::Wild { start: start.to_owned(), end: end.to_owned() },
            None => {
                let stem = Path::new(name).file_stem()?.to_str()?;
                Name::Exact { stem: stem.to_owned(), ending: name[stem.len()..].to_owned() }
            }
        };
        Some(Self { directory, name })
    }

    /// Returns the directory of the files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns whether a file of the directory belongs to the pattern.
    pub fn accepts(&self, name: &OsStr) -> bool {
        let Some(name) = name.to_str() else { return false };
        match &self.name {
            Name::Wild { start, end } => {
                name.strip_prefix(start.as_str()).is_some_and(|rest| rest.ends_with(end.as_str()))
            }
            Name::Exact { stem, ending } => {
                let between =
                    name.strip_prefix(stem.as_str()).and_then(|rest| rest.strip_suffix(ending.as_str()));
                between.is_some_and(|between| between.is_empty() || is_number_of_rotation(between))
            }
        }
    }
}

/// Returns whether a text is the number that the application inserts into the name of a rotated file.
fn is_number_of_rotation(text: &str) -> bool {
    text.strip_prefix('.')
        .is_some_and(|digits| digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_files_and_their_predecessors() {
        let cases = [
            ("log/api.jsonl", "api.jsonl", true),
            ("log/api.jsonl", "api.000007.jsonl", true),
            ("log/api.jsonl", "api.1234567.jsonl", true),
            ("log/api.jsonl", "api.7.jsonl", false),
            ("log/api.jsonl", "api-2.jsonl", false),
            ("log/api.jsonl", "api.jsonl.1", false),
            ("log/api.jsonl", "worker.jsonl", false),
            ("log/api", "api.000001", true),
            ("log/api*.jsonl", "api.jsonl", true),
            ("log/api*.jsonl", "api-2.000003.jsonl", true),
            ("log/api*.jsonl", "ap.jsonl", false),
            ("log/a*a", "a", false),
            ("log/*", "anything", true),
        ];
        for (pattern, name, expected) in cases {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(
                (parsed.accepts(OsStr::new(name)), parsed.directory()),
                (expected, Path::new("log")),
                "{pattern} {name}"
            );
        }
        assert_eq!("api.jsonl".parse::<Pattern>().unwrap().directory(), Path::new("."));
    }

    #[test]
    fn what_names_no_files_is_refused() {
        for text in ["", "/", "log/", "log/..", "log/*/api.jsonl", "log/a*b*"] {
            assert_eq!(text.parse::<Pattern>(), Err(NoPattern(text.to_owned())), "{text}");
        }
    }
}
