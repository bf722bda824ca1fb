//! Names of people, workspaces and organizations. E-mails show them to other people, so a name must not
//! become a link there, nor hide or reorder the text around it.

use domain::limits;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// Invisible characters that change how others are shown: the general categories Cf, Zl and Zp of Unicode 16,
/// and letters that are drawn as nothing. U+200D, which joins pictographs, is handled separately; variation
/// selectors only choose a form and are allowed.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e00ff}'),
];

/// Joins pictographs into one.
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Beginnings of links without `//`.
const SCHEMES: &[&str] = &[
    "http:",
    "https:",
    "ftp:",
    "file:",
    "mailto:",
    "tel:",
    "sms:",
    "callto:",
    "facetime:",
    "skype:",
    "javascript:",
    "data:",
];

/// A name of 1 to 100 characters on one line.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Validates `text`; the error says what would be valid and never quotes the text.
    ///
    /// # Errors
    /// Returns an error if it is not a valid name.
    pub fn parse(text: String) -> Result<Self, String> {
        let (min, max) = (*limits::DISPLAY_NAME.start(), *limits::DISPLAY_NAME.end());
        let length = text.chars().count();
        if length > max {
            return Err(format!("must have at most {max} characters, not {length}"));
        }
        if text.trim().is_empty() {
            return Err(format!("must have at least {min} characters that are not white space"));
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters or line breaks".to_owned());
        }
        if hides_something(&text) {
            return Err(
                "must not contain invisible characters or such that change the direction of text".to_owned()
            );
        }
        if has_link(&text) {
            return Err(
                "must not contain anything that programs turn into a link: an address or a domain such as \
                        example.com; put a space behind a full stop"
                    .to_owned(),
            );
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether `text` can be shown in an e-mail as it is: on one line, without hidden characters, and
/// without a link.
pub fn can_be_shown(text: &str) -> bool {
    !text.chars().any(char::is_control) && !hides_something(text) && !has_link(text)
}

fn hides_something(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    characters.iter().enumerate().any(|(index, character)| {
        let joins = || {
            let before = index.checked_sub(1).and_then(|before| characters.get(before));
            before.is_some_and(is_pictograph) && characters.get(index + 1).is_some_and(is_pictograph)
        };
        let is_invisible = INVISIBLE.iter().any(|(first, last)| (first..=last).contains(&character));
        is_invisible && !(*character == ZERO_WIDTH_JOINER && joins())
    })
}

/// Returns whether it is a symbol from the pictograph blocks, or the variation selector that may follow one.
fn is_pictograph(character: &char) -> bool {
    matches!(character, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

/// Returns whether mail programs may turn a part of `text` into a link. Programs differ, so this covers every
/// form that any of them is known to link: URLs, addresses, and words with a full stop whose end could be a
/// domain.
fn has_link(text: &str) -> bool {
    let text = text.to_lowercase();
    let begins_link = |scheme: &&str| {
        text.match_indices(*scheme).any(|(at, _)| {
            let after = text[at + scheme.len()..].chars().next();
            let before = text[..at].chars().next_back();
            !before.is_some_and(char::is_alphanumeric) && after.is_some_and(|after| !after.is_whitespace())
        })
    };
    if text.contains("//") || text.contains("\\\\") || SCHEMES.iter().any(begins_link) {
        return true;
    }
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied();
    let is_text = |character: Option<char>| character.is_some_and(|character| !character.is_whitespace());
    let is_letter = |character: Option<char>| character.is_some_and(char::is_alphabetic);
    let found = characters.iter().enumerate().any(|(index, character)| {
        let before = index.checked_sub(1).and_then(at);
        match character {
            '@' | '\u{ff20}' | '\u{fe6b}' => is_text(before) && is_text(at(index + 1)),
            // Includes the characters that browsers treat as a full stop in a domain.
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => {
                let is_www =
                    index >= 3 && characters[index - 3..index] == ['w', 'w', 'w'] && is_text(at(index + 1));
                let ends_label =
                    before.is_some_and(|before| before.is_alphanumeric() || before == '-' || before == '_');
                is_www || (ends_label && is_letter(at(index + 1)) && is_letter(at(index + 2)))
            }
            _ => false,
        }
    });
    found || has_ip_address(&text)
}

/// Returns whether it contains four numbers with full stops between them.
fn has_ip_address(text: &str) -> bool {
    text.split(|character: char| !character.is_ascii_digit() && character != '.').any(|word| {
        let parts: Vec<&str> = word.trim_matches('.').split('.').collect();
        parts.len() == 4 && parts.iter().all(|part| (1..=3).contains(&part.len()))
    })
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Name {
    fn schema() -> RefOr<Schema> {
        let refused = r"\x00-\x1F\x7F-\x9F\xAD\u200B\u200C\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "A name on one line. Characters that are invisible or change the direction of text are refused, and so \
                 is anything that mail programs turn into a link: a URL, an address, or a domain such as example.com.",
            ))
            .min_length(Some(*limits::DISPLAY_NAME.start()))
            .max_length(Some(*limits::DISPLAY_NAME.end()))
            .pattern(Some(format!(r"^[^{refused}]*[^\s{refused}][^{refused}]*$")))
            .examples(["Ada Lovelace"])
            .into()
    }
}

impl utoipa::ToSchema for Name {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<String> {
        Name::parse(text.to_owned()).err()
    }

    #[test]
    fn names_of_people_and_companies_are_names() {
        for name in [
            "Ada Lovelace",
            "Dr. No",
            "J. R. R. Tolkien",
            "J.R.R. Tolkien",
            "Acme Inc.",
            "Acme, Inc. (Berlin)",
            "O'Brien & Sons",
            "Größe & Co",
            "日本語の組織",
            "مرحبا بالعالم",
            "שלום, world",
            "e\u{301}",
            "👩\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈",
            "@acme",
            "Team: Marketing",
            "Version 2.0",
            "Spring 2026 / Summer",
            "Robert'); drop table organizations;--",
            "100 % real",
            "C++ & C#",
            "Ph.D",
            "Verein e.V.",
            "www",
            "3.5 stars",
            "24/7",
        ] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }

    #[test]
    fn a_link_is_no_name() {
        for name in [
            "http://evil.example",
            "see HTTPS://evil.example/login",
            "//evil",
            "Evil www.evil",
            "evil.com",
            "Pay at evil.com/now",
            "EVIL.COM",
            "evil。com",
            "evil．com",
            "evil｡com",
            "evil.рф",
            "xn--e1afmkfd.xn--p1ai",
            "mailto:x",
            "tel:112",
            "Call tel:112",
            "x@y.example",
            "x@y",
            "x＠y",
            "javascript:alert(1)",
            "\\\\server\\share",
            "10.0.0.1",
            "my-bank.example",
            "a_b.co",
            "ⓔⓥⓘⓛ.ⓒⓞⓜ",
            "data:text/html",
        ] {
            assert!(refusal(name).is_some_and(|refusal| refusal.contains("link")), "{name}");
            assert!(!can_be_shown(name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_no_name() {
        for character in ['\0', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{85}'] {
            let name = format!("Ada{character}Lovelace");
            assert!(refusal(&name).is_some_and(|refusal| refusal.contains("control characters")), "{name:?}");
        }
        for (first, last) in INVISIBLE {
            for character in [first, last] {
                let name = format!("Ada{character}Lovelace");
                assert!(refusal(&name).is_some_and(|refusal| refusal.contains("invisible")), "{name:?}");
                let alone = format!("{character}");
                assert!(refusal(&alone).is_some(), "{alone:?}");
                assert!(!can_be_shown(&name) && !can_be_shown(&alone), "{name:?}");
            }
        }
        for name in ["Ada\u{200d}Lovelace", "👩\u{200d}", "\u{200d}👩", "👩\u{200d}\u{200d}👩", "👩\u{200d}A"]
        {
            assert!(refusal(name).is_some_and(|refusal| refusal.contains("invisible")), "{name:?}");
        }
    }

    #[test]
    fn the_three_kinds_of_names_are_as_long() {
        assert_eq!(limits::DISPLAY_NAME, limits::WORKSPACE_NAME);
        assert_eq!(limits::DISPLAY_NAME, limits::ORGANIZATION_NAME);
        assert!(refusal(&"ß".repeat(100)).is_none());
        assert!(refusal(&"ß".repeat(101)).is_some_and(|refusal| refusal.contains("at most 100")));
        for empty in ["", " ", "\u{3000}\u{2003}"] {
            assert!(refusal(empty).is_some_and(|refusal| refusal.contains("at least 1")), "{empty:?}");
        }
    }
}
