//! Passwords that users choose.

use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::http::error::Error;
use crate::platform::secret::Secret;
use crate::platform::text::EmailAddress;

/// A new password. Only its length is required: rules about kinds of characters lead to passwords that are
/// hard to remember and easy to guess.
#[derive(Clone)]
pub(super) struct NewPassword(Secret);

const MIN_CHARACTERS: usize = 10;
const MAX_CHARACTERS: usize = 128;

/// The most common passwords of sufficient length.
const COMMON: &[&str] = &[
    "0123456789",
    "0987654321",
    "1234567890",
    "1234567891",
    "12345678910",
    "123456789a",
    "123123123123",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abcd123456",
    "abcdefghij",
    "administrator",
    "asdfghjkl;",
    "changeme123",
    "football123",
    "iloveyou123",
    "letmein123",
    "password01",
    "password12",
    "password123",
    "password1234",
    "password12345",
    "passwordpassword",
    "q1w2e3r4t5",
    "qwerty1234",
    "qwerty12345",
    "qwerty123456",
    "qwertyuiop",
    "welcome123",
];

impl NewPassword {
    /// Validates a password. The error says what would be valid and never quotes the password.
    ///
    /// # Errors
    /// Returns an error if it is too short, too long, or a common password.
    pub(super) fn parse(password: Secret) -> Result<Self, String> {
        let text = password.expose();
        let length = text.chars().count();
        if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&length) {
            return Err(format!("must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters, not {length}"));
        }
        let mut characters = text.chars();
        let first = characters.next();
        if characters.all(|character| Some(character) == first) {
            return Err("must not be one character repeated".to_owned());
        }
        if COMMON.contains(&text.to_lowercase().as_str()) {
            return Err("is one of the most common passwords: choose another, such as a few words".to_owned());
        }
        Ok(Self(password))
    }

    /// Rejects a password that equals the address.
    ///
    /// # Errors
    /// Returns an error if it does.
    pub(super) fn check_differs_from(&self, email: &EmailAddress) -> Result<(), Error> {
        if self.0.expose().trim().eq_ignore_ascii_case(email.as_str()) {
            return Err(Error::invalid_field("password", "must not be the e-mail address"));
        }
        Ok(())
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }
}

impl<'de> Deserialize<'de> for NewPassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Secret::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for NewPassword {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .description(Some(
                "Not one character repeated, none of the most common ones, not the e-mail address.",
            ))
            .min_length(Some(MIN_CHARACTERS))
            .max_length(Some(MAX_CHARACTERS))
            .into()
    }
}

impl utoipa::ToSchema for NewPassword {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_passwords_are_judged_by_length_and_commonness() {
        let problem = |text: &str| NewPassword::parse(Secret::new(text)).err().unwrap_or_default();
        assert_eq!(problem("nine char"), "must have 10 to 128 characters, not 9");
        assert_eq!(problem(&"ab".repeat(65)), "must have 10 to 128 characters, not 130");
        assert_eq!(problem("ßßßßßßßßßß"), "must not be one character repeated");
        assert!(problem("PassWord123").contains("most common"));
        for good in ["correct horse", "ten  chars", "пароль-пароль", &"ab".repeat(64)] {
            assert_eq!(problem(good), "");
        }
        for common in COMMON {
            assert!((MIN_CHARACTERS..=MAX_CHARACTERS).contains(&common.len()), "{common} cannot be chosen");
        }
    }
}
