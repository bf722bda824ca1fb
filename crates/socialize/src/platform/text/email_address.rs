//! E-mail addresses, and the reasons to reject one.

use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// Characters that the local part may contain besides letters and digits (RFC 5321, `Atom`).
const NAME_CHARACTERS: &str = "!#$%&'*+-/=?^_`{|}~.";
/// Maximum lengths of the local part and of a label of the domain (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 64;
const LONGEST_LABEL: usize = 63;

/// An e-mail address, trimmed and lower-cased so that one person cannot have two accounts by spelling.
///
/// It cannot be printed,
///
/// ```compile_fail,E0277
/// println!("{}", socialize::platform::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// nor with `Debug`,
///
/// ```compile_fail,E0277
/// println!("{:?}", socialize::platform::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// nor serialized,
///
/// ```compile_fail,E0277
/// serde_json::to_string(&socialize::platform::text::EmailAddress::parse("ada@example.com").unwrap());
/// ```
///
/// nor be a field of a log event,
///
/// ```compile_fail,E0277
/// let value = socialize::platform::text::EmailAddress::parse("ada@example.com").unwrap();
/// tracing::info!(note = %value);
/// ```
///
/// nor an attribute of a span or a line,
///
/// ```compile_fail,E0277
/// let address = socialize::platform::text::EmailAddress::parse("ada@example.com").unwrap();
/// telemetry::Attributes::default().name(&catalogue::keys::CHANNEL, address);
/// ```
///
/// nor a label of a metric.
///
/// ```compile_fail,E0308
/// fn count(counter: &telemetry::meter::Counter<catalogue::labels::JobKind>) {
///     counter.add(socialize::platform::text::EmailAddress::parse("ada@example.com").unwrap(), 1);
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Validates and normalises `text`.
    ///
    /// # Errors
    /// Says what is wrong so that the user can correct it. Does not quote the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refusal = |reason: &str| format!("must be an e-mail address such as name@example.com: {reason}");
        let length = text.chars().count();
        if length > *domain::limits::EMAIL.end() {
            return Err(refusal(&format!(
                "it may have at most {} characters, not {length}",
                domain::limits::EMAIL.end()
            )));
        }
        let normalised = text.trim().to_ascii_lowercase();
        if let Some(problem) = problem(&normalised) {
            return Err(refusal(problem));
        }
        // The mail library must accept it as well.
        let (local, host) = normalised.rsplit_once('@').unwrap_or_default();
        match lettre::Address::new(local, host) {
            Ok(_) => Ok(Self(normalised)),
            Err(_) => Err(refusal("mail servers would not understand it")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns what is wrong with a trimmed, lower-case address.
fn problem(address: &str) -> Option<&'static str> {
    if address.is_empty() {
        return Some("it is empty");
    }
    if address.contains(['<', '>']) {
        return Some("write the address alone, without a name and angle brackets around it");
    }
    // Quoted local parts are valid, but nobody uses them.
    if address.starts_with('"') {
        return Some("a name in quotation marks is not supported");
    }
    if address.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Some("it contains white space or control characters");
    }
    if address.starts_with("mailto:") {
        return Some("write it without `mailto:`");
    }
    if address.contains([',', ';']) {
        return Some("write one address, without a comma or semicolon");
    }
    let Some((name, domain)) = address.split_once('@') else { return Some("it has no @") };
    if domain.contains('@') {
        return Some("it has more than one @");
    }
    problem_of_name(name).or_else(|| problem_of_domain(domain))
}

fn problem_of_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it has nothing before the @");
    }
    if !name.is_ascii() {
        return Some(
            "it has characters before the @ outside ASCII, such as umlauts, which many mail servers do not deliver to",
        );
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Some("what is before the @ must not begin or end with a dot, nor have two dots in a row");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || NAME_CHARACTERS.as_bytes().contains(&byte)) {
        return Some(
            "it has a character before the @ that addresses do not have; letters, digits and !#$%&'*+-/=?^_`{|}~. are \
             possible",
        );
    }
    (name.len() > LONGEST_NAME).then_some("it may have at most 64 characters before the @")
}

fn problem_of_domain(domain: &str) -> Option<&'static str> {
    if domain.is_empty() {
        return Some("it has nothing behind the @");
    }
    // For example [127.0.0.1].
    if domain.starts_with('[') {
        return Some("a domain is needed behind the @, not an IP address");
    }
    if !domain.is_ascii() {
        return Some(
            "its domain has letters outside ASCII: write the domain in its ASCII form, which begins with xn--",
        );
    }
    if !domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
        return Some("a domain may have letters, digits, hyphens and dots only");
    }
    if domain.ends_with('.') {
        return Some("its domain must not have a dot at its end");
    }
    if domain.starts_with('.') || domain.contains("..") {
        return Some("its domain must not begin with a dot, nor have two dots in a row");
    }
    if domain.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
        return Some("no part of its domain may begin or end with a hyphen");
    }
    let is_long = domain.split('.').any(|label| label.len() > LONGEST_LABEL);
    is_long.then_some("each part of its domain may have at most 63 characters between the dots")
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for EmailAddress {
    fn schema() -> RefOr<Schema> {
        // JSON Schema's format `email` does not allow the white space that is trimmed. The part before the @
        // has at most 64 characters, which a pattern can hardly express along with the rest.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The earlier, less specific check; whatever it accepted must still be accepted.
    fn is_accepted(text: &str) -> bool {
        if text.chars().count() > *domain::limits::EMAIL.end() {
            return false;
        }
        let normalised = text.trim().to_ascii_lowercase();
        let Some((local, host)) = normalised.rsplit_once('@') else { return false };
        let is_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        local.is_ascii() && !local.starts_with('"') && is_host && lettre::Address::new(local, host).is_ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn reasons_refuse_nothing_more_and_nothing_less(
            name in "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\\-]{0,12}",
            domain in "[a-zA-Z0-9.\\-]{0,12}",
            odd in "[ -~äé例]{0,3}",
        ) {
            for text in [
                format!("{name}@{domain}"),
                format!("{name}{odd}@{domain}"),
                format!("{name}@{odd}{domain}"),
                format!(" {name}@{domain}{odd}"),
            ] {
                let parsed = EmailAddress::parse(&text);
                prop_assert_eq!(parsed.is_ok(), is_accepted(&text), "{}: {:?}", text, parsed.err());
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let parsed = EmailAddress::parse(&text);
            prop_assert_eq!(parsed.is_ok(), is_accepted(&text), "{}: {:?}", text, parsed.err());
        }
    }
}
