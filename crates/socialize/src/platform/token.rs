//! Access tokens, which are signed and short-lived, and tokens of e-mailed links, which are derived and never
//! stored.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{SessionId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use crate::platform::hs256;
use crate::platform::secret::Secret;
use crate::platform::webhook::SigningSecret;

/// Maximum lifetime of an access token: it also ends with its session.
pub const ACCESS_TOKEN_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// Signs and verifies tokens. A key for each purpose is derived from the server secret.
#[derive(Clone)]
pub struct Tokens {
    inner: Arc<Keys>,
}

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    links: [u8; 32],
    refresh: [u8; 32],
    codes: [u8; 32],
    publishing: [u8; 32],
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Claims {
    #[serde(rename = "sub")]
    pub user_id: UserId,
    #[serde(rename = "sid")]
    pub session_id: SessionId,
    /// Expiry as Unix time in seconds.
    #[serde(rename = "exp")]
    expires_at: i64,
}

/// Reasons to reject an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Malformed, or not signed by this server.
    Invalid,
    Expired,
}

/// Purpose of an e-mailed link; its token is invalid for any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Confirms an e-mail address.
    VerifyEmail,
    ResetPassword,
    WorkspaceInvite,
}

impl LinkPurpose {
    fn context(self) -> &'static [u8] {
        match self {
            Self::VerifyEmail => b"verify_email",
            Self::ResetPassword => b"reset_password",
            Self::WorkspaceInvite => b"workspace_invite",
        }
    }
}

impl Tokens {
    /// Derives the keys from the server secret.
    pub fn new(server_secret: &Secret) -> Self {
        hs256::install();
        let access = derive(server_secret.expose().as_bytes(), &[b"access token"]);
        let links = derive(server_secret.expose().as_bytes(), &[b"e-mailed link"]);
        let refresh = derive(server_secret.expose().as_bytes(), &[b"refresh token"]);
        let codes = derive(server_secret.expose().as_bytes(), &[b"code"]);
        let publishing = derive(server_secret.expose().as_bytes(), &[b"publishing endpoint"]);
        let encoding = EncodingKey::from_secret(&access);
        let decoding = DecodingKey::from_secret(&access);
        Self { inner: Arc::new(Keys { encoding, decoding, links, refresh, codes, publishing }) }
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// Returns an error if the library cannot sign, which does not happen with a valid key.
    pub fn issue(
        &self,
        user_id: UserId,
        session_id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<Secret, jsonwebtoken::errors::Error> {
        let claims = Claims { user_id, session_id, expires_at: (now + ACCESS_TOKEN_LIFETIME).timestamp() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.inner.encoding).map(Secret::new)
    }

    /// Verifies an access token. Compares the time itself, because the library would use the system clock.
    ///
    /// # Errors
    /// Returns an error if the token is invalid or expired.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenRefusal> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.inner.decoding, &validation);
        let claims = decoded.map_err(|_| TokenRefusal::Invalid)?.claims;
        if claims.expires_at <= now.timestamp() { Err(TokenRefusal::Expired) } else { Ok(claims) }
    }

    /// Derives the refresh token that follows a used one. A client that lost the response can get the same
    /// token again although none is stored, and only this server can compute it.
    pub fn next_refresh_token(&self, used: &Secret) -> Secret {
        let next = derive(&self.inner.refresh, &[used.expose().as_bytes()]);
        Secret::new(URL_SAFE_NO_PAD.encode(next))
    }

    /// Keyed hash of a value that must not be stored, such as an address. Equal on all replicas.
    pub fn code(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut code = [0; 16];
        code.copy_from_slice(&derive(&self.inner.codes, parts)[..16]);
        code
    }

    /// The token of a link: the id and a MAC, so nothing that is stored can be used to forge one.
    pub fn link(&self, purpose: LinkPurpose, id: Uuid) -> Secret {
        let mut bytes = id.as_bytes().to_vec();
        bytes.extend_from_slice(&derive(&self.inner.links, &[purpose.context(), id.as_bytes()]));
        Secret::new(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The secret that signs deliveries to a publishing endpoint. Like a link's token it is derived and never
    /// stored.
    pub fn signing_secret(&self, secret_id: Uuid) -> SigningSecret {
        SigningSecret::new(&derive(&self.inner.publishing, &[secret_id.as_bytes()]))
    }

    /// Returns the id in a link's token if this server created the token for this purpose.
    pub fn verify_link(&self, purpose: LinkPurpose, token: &str) -> Option<Uuid> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, code) = bytes.split_at_checked(16)?;
        let id = Uuid::from_slice(id).ok()?;
        let expected = derive(&self.inner.links, &[purpose.context(), id.as_bytes()]);
        let equal: bool = subtle::ConstantTimeEq::ct_eq(code, &expected[..]).into();
        equal.then_some(id)
    }
}

/// HMAC-SHA-256 over length-prefixed parts, so that different lists of parts never have the same input.
fn derive(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_purpose_and_server_only() {
        let tokens = Tokens::new(&Secret::new("one secret"));
        let id = Uuid::new_v4();
        let link = tokens.link(LinkPurpose::VerifyEmail, id);
        assert_eq!(tokens.verify_link(LinkPurpose::VerifyEmail, link.expose()), Some(id));
        assert_eq!(tokens.verify_link(LinkPurpose::ResetPassword, link.expose()), None);
        let other = Tokens::new(&Secret::new("another secret"));
        assert_eq!(other.verify_link(LinkPurpose::VerifyEmail, link.expose()), None);
        for broken in ["", "AAAA", &link.expose()[1..], &format!("{}A", link.expose()), "ä", "\0"] {
            assert_eq!(tokens.verify_link(LinkPurpose::VerifyEmail, broken), None, "{broken:?}");
        }
    }

    #[test]
    fn an_access_token_expires() {
        let tokens = Tokens::new(&Secret::new("one secret"));
        let now = DateTime::from_timestamp(1_795_419_660, 0).expect("a valid time");
        let (user, session) = (UserId::from(Uuid::new_v4()), SessionId::from(Uuid::new_v4()));
        let token = tokens.issue(user, session, now).expect("signed");
        assert!(tokens.verify(token.expose(), now).is_ok_and(|claims| claims.user_id == user));
        let later = now + ACCESS_TOKEN_LIFETIME;
        assert_eq!(tokens.verify(token.expose(), later).err(), Some(TokenRefusal::Expired));
        assert_eq!(tokens.verify("not a token", now).err(), Some(TokenRefusal::Invalid));
        let other = Tokens::new(&Secret::new("another secret"));
        assert_eq!(other.verify(token.expose(), now).err(), Some(TokenRefusal::Invalid));
    }
}
