//! Text that people typed: bounded, and free of what a database or a terminal would choke on.

mod moment;
mod name;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

pub use self::moment::Moment;
pub use self::name::{Name, can_be_shown};

/// Text of `MIN` to `MAX` characters, not only white space (unless it may be empty), without control characters other than
/// line breaks and tabs.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Checks `text`; the error says what would be right and never quotes the text.
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

    /// The text itself.
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
            // At least one character that is not white space, and no control characters: what `parse` accepts.
            text.min_length(Some(MIN)).pattern(Some(r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]*$"))
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

/// An e-mail address, trimmed and lower-cased so that one person cannot have two accounts by spelling.
///
/// It cannot be printed,
///
/// ```compile_fail,E0277
/// println!("{}", socialize::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// also not for debugging,
///
/// ```compile_fail,E0277
/// println!("{:?}", socialize::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// nor serialised,
///
/// ```compile_fail,E0277
/// serde_json::to_string(&socialize::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// nor be a field of a log event,
///
/// ```compile_fail,E0277
/// let value = socialize::text::EmailAddress::parse("ada@example.com").unwrap();
/// tracing::info!(note = %value);
/// ```
///
/// nor an attribute of a span or a line,
///
/// ```compile_fail,E0277
/// telemetry::Attributes::default().name(&domain::signals::keys::CHANNEL, socialize::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// nor a label of a metric.
///
/// ```compile_fail,E0308
/// fn count(counter: &telemetry::meter::Counter<domain::labels::JobKind>) {
///     counter.add(socialize::text::EmailAddress::parse("ada@example.com").unwrap(), 1);
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks and normalises `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refusal =
            || "must be an e-mail address such as name@example.com, of at most 254 characters".to_owned();
        if text.chars().count() > *domain::limits::EMAIL.end() {
            return Err(refusal());
        }
        let normalised = text.trim().to_ascii_lowercase();
        let (local, host) = normalised.rsplit_once('@').ok_or_else(refusal)?;
        // Quoted names and bare IP addresses are addresses too, but nobody has one.
        let is_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        let is_usual = local.is_ascii() && !local.starts_with('"') && is_host;
        let well_formed = is_usual && lettre::Address::new(local, host).is_ok();
        if well_formed { Ok(Self(normalised)) } else { Err(refusal()) }
    }

    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for EmailAddress {
    fn schema() -> RefOr<Schema> {
        // The format `email` knows nothing of the white space that is trimmed. What is before the @ has at most 64 characters,
        // which a pattern can hardly say beside the rest.
        let name = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
        let label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("An e-mail address. White space around it and upper case do not matter."))
            .min_length(Some(*domain::limits::EMAIL.start()))
            .max_length(Some(*domain::limits::EMAIL.end()))
            .pattern(Some(format!(r"^\s*{name}(\.{name})*@{label}(\.{label})*\s*$")))
            .examples(["name@example.com"])
            .into()
    }
}

impl utoipa::ToSchema for EmailAddress {}
