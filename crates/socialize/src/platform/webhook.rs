//! Signed deliveries, as Standard Webhooks describes them: <https://www.standardwebhooks.com>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::Sha256;

use crate::platform::secret::Secret;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A signing key without `Debug`, `Display` and `Serialize`.
#[derive(Clone)]
pub struct SigningSecret(Box<[u8]>);

impl SigningSecret {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(key.into())
    }

    /// Encodes the key in the form that receivers' libraries expect.
    pub fn to_text(&self) -> Secret {
        Secret::new(format!("whsec_{}", STANDARD.encode(&self.0)))
    }

    fn sign(&self, signed: &[&[u8]]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length")
        };
        for part in signed {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Headers of one attempt to deliver `body`. The id is the same for all attempts and contains no full stop,
/// which separates the signed parts. There is one signature per secret, the newest first.
pub fn headers(id: &str, now: DateTime<Utc>, body: &Bytes, secrets: &[SigningSecret]) -> HeaderMap {
    let timestamp = now.timestamp().to_string();
    let signed: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(&signed)).collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in
        [(WEBHOOK_ID, id), (WEBHOOK_TIMESTAMP, &timestamp), (WEBHOOK_SIGNATURE, &signatures.join(" "))]
    {
        // Ids, numbers and base64 are always valid header values.
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_reproduced() {
        // The specification's libraries share this example.
        let secret =
            SigningSecret::new(&STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64"));
        assert_eq!(secret.to_text().expose(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let now = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        let body = Bytes::from_static(b"{\"test\": 2432232314}");
        let headers = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now, &body, &[secret]);
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn every_secret_signs() {
        let secrets = [SigningSecret::new(&[1; 32]), SigningSecret::new(&[2; 32])];
        let now = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        let headers = headers("an_id", now, &Bytes::from_static(b"{}"), &secrets);
        let signatures = headers["webhook-signature"].to_str().expect("text");
        let signatures: Vec<&str> = signatures.split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert!(
            signatures[0] != signatures[1] && signatures.iter().all(|signature| signature.starts_with("v1,"))
        );
        assert!(secrets[0].to_text().expose().starts_with("whsec_AQEB"));
    }
}
