//! Request headers that usually hold a credential.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

/// Headers sent with every export request.
///
/// They are secrets: the type has no `Debug`, `Display` or `Serialize`, so no log line and no error
/// can contain them.
///
/// ```compile_fail
/// let headers = telemetry::otlp::SecretHeaders::default();
/// println!("{headers:?}");
/// ```
#[derive(Clone, Default)]
pub struct SecretHeaders(HeaderMap);

/// Headers that an operator must not set, because they would break the request itself.
const RESERVED: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
];

impl SecretHeaders {
    /// Parses `name=value,name=value` with percent-encoded values, the format of
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// An error identifies the invalid entry by its number, because both halves of a malformed
    /// entry may be secret.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        let entries = list.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty());
        for (position, entry) in entries {
            let number = position + 1;
            let Some((name, value)) = entry.split_once('=') else {
                return Err(format!("must be a list name=value,name=value; entry {number} has no `=`"));
            };
            let name: HeaderName = name
                .trim()
                .parse()
                .map_err(|_| format!("has a name in entry {number} that is no valid header name"))?;
            if RESERVED.contains(&name) || name.as_str().starts_with("grpc-") {
                return Err(format!(
                    "sets, in entry {number}, a header that belongs to the transport; remove it"
                ));
            }
            let value = percent_decode_str(value.trim()).collect::<Vec<u8>>();
            let mut value = HeaderValue::from_bytes(&value)
                .map_err(|_| format!("has a value in entry {number} that is no valid header value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self(headers))
    }

    /// Returns whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the headers for sending, marked as sensitive. Do not display them.
    pub fn to_map(&self) -> HeaderMap {
        self.0.clone()
    }
}
