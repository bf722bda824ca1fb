//! The token of the link. Only its digest is kept, and digests are compared in constant time.

use std::fmt::Write;

use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Token in the link and later in the cookie.
pub struct Token(String);

impl Token {
    /// Makes a token of 256 random bits.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::rng().random();
        let mut text = String::with_capacity(64);
        for byte in bytes {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Creates a token from the configuration.
    pub fn configured(token: &str) -> Self {
        Self(token.to_owned())
    }

    /// Returns the text for the link.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns the digest to compare with.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Returns whether this is the digest of a token. Compares in constant time.
    pub fn matches(&self, token: &str) -> bool {
        self.0.ct_eq(&Self::of(token).0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_new_each_time() {
        let (one, two) = (Token::random(), Token::random());
        assert_eq!(one.text().len(), 64);
        assert_ne!(one.text(), two.text());
        assert!(one.digest().matches(one.text()) && !one.digest().matches(two.text()));
        assert!(!one.digest().matches(""));
    }
}
