//! Checks of individual values. Every error is kept, so that they are reported together.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::platform::secret::Secret;
use crate::platform::settings;

/// All errors of a configuration.
#[derive(Debug, Default)]
pub struct Mistakes {
    problems: Vec<String>,
    /// Settings whose error has already been found; errors that follow from it are not reported.
    settled: Vec<String>,
}

impl Mistakes {
    /// Adds an error of `setting`. The problem must not quote the value of a secret.
    pub fn add(&mut self, setting: &str, problem: impl fmt::Display) {
        if !self.settled.iter().any(|settled| settled == setting) {
            self.problems.push(format!("{setting}: {problem}"));
        }
    }

    /// Reports this as the only error of `setting`: others would follow from it.
    pub(super) fn settle(&mut self, setting: &str, problem: impl fmt::Display) {
        self.add(setting, problem);
        self.settled.push(setting.to_owned());
    }

    /// Returns the configuration if there are no errors.
    ///
    /// # Errors
    /// Returns all errors.
    pub fn or<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// Returns whether there are no errors so far.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Parses a value, or returns the default if there is none.
    pub fn parse<T: FromStr>(&mut self, setting: &str, value: Option<&str>, default: T, right: &str) -> T {
        let parsed = value.map(settings::parsed(right));
        self.keep(setting, parsed, default)
    }

    /// Parses a duration such as `500ms`, `15s` or `2m` and checks its bounds.
    pub fn duration(
        &mut self,
        setting: &str,
        value: Option<&str>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let parsed = value.map(settings::duration(bounds));
        self.keep(setting, parsed, default)
    }

    fn keep<T>(&mut self, setting: &str, parsed: Option<Result<T, String>>, default: T) -> T {
        match parsed {
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.add(setting, problem);
                default
            }
            None => default,
        }
    }

    /// Returns a secret from the environment or from a file. Both at once are an error, because one would be
    /// ignored. So is a malformed secret, which another program would reject later without a reason.
    pub(super) fn secret(
        &mut self,
        setting: &str,
        value: Option<&str>,
        file: Option<&str>,
    ) -> Option<Secret> {
        let (text, place) = match (value, file) {
            (Some(_), Some(_)) => {
                self.add(setting, format!("is given directly and by {setting}_FILE: remove one of them"));
                return None;
            }
            (Some(value), None) => (value.to_owned(), setting.to_owned()),
            (None, Some(file)) => {
                let place = format!("{setting}_FILE");
                match read_secret(file) {
                    Ok(text) => (text, place),
                    Err(problem) => {
                        self.add(&place, problem);
                        return None;
                    }
                }
            }
            (None, None) => return None,
        };
        if let Some(problem) = problem_of_secret(&text) {
            self.add(&place, problem);
        }
        Some(Secret::new(text))
    }
}

/// Reads a file without the line break at its end.
fn read_secret(file: &str) -> Result<String, String> {
    let bytes =
        std::fs::read(Path::new(file)).map_err(|error| format!("{file} cannot be read: {}", error.kind()))?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(format!("{file} is UTF-16: save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Returns what is wrong with a secret. Does not quote it.
fn problem_of_secret(text: &str) -> Option<&'static str> {
    if text.starts_with('\u{feff}') {
        return Some(
            "begins with a byte order mark (BOM), which would be part of it: save it as UTF-8 without one",
        );
    }
    if text.contains(['\n', '\r']) {
        return Some(
            "has more than one line, or the line ends of Windows (CRLF) in it: a secret is one line",
        );
    }
    let has_blank_end = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    has_blank_end.then_some("begins or ends with a blank, which would be part of it: remove it")
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        writeln!(f, "The configuration has {count} {}:", if count == 1 { "mistake" } else { "mistakes" })?;
        for mistake in &self.problems {
            writeln!(f, "  - {mistake}")?;
        }
        write!(f, "Every setting is explained by --help.")
    }
}

impl std::error::Error for Mistakes {}
