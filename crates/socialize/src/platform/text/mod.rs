//! Text typed by people: of limited length, and without characters that break a database or a terminal.

mod email_address;
mod moment;
mod name;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

pub use self::email_address::EmailAddress;
pub use self::moment::Moment;
pub use self::name::{Name, can_be_shown};

/// Text of `MIN` to `MAX` characters, not only white space (unless it may be empty), without control
/// characters other than line breaks and tabs.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Validates `text`; the error says what would be valid and never quotes the text.
    pub fn parse(text: String) -> Result<Self, String> {
        let length = text.chars().count();
        if length > MAX {
            return Err(format!("must have at most {MAX} characters, not {length}"));
        }
        if length < MIN || (MIN > 0 && text.trim().is_empty()) {
            return Err(format!("must have at least {MIN} characters that are not white space"));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err("must not contain control characters".to_owned());
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<const MIN: usize, const MAX: usize> utoipa::PartialSchema for Text<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX));
        let text = if MIN > 0 {
            // Matches what `parse` accepts: at least one character other than white space, and no control
            // characters.
            text.min_length(Some(MIN)).pattern(Some(concat!(
                r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*",
                r"[^\s\x00-\x1F\x7F-\x9F]",
                r"[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*$"
            )))
        } else {
            text.pattern(Some(r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*$"))
        };
        text.into()
    }
}

impl<const MIN: usize, const MAX: usize> utoipa::ToSchema for Text<MIN, MAX> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("Text{MIN}To{MAX}").into()
    }
}
