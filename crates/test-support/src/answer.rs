//! A response as tests see it.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// A response whose body has been read.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// All response headers.
    pub headers: HeaderMap,
    /// The body as JSON; `Null` if it is empty or not JSON.
    pub body: Value,
    /// The raw body.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Asserts the status, and shows the body if the assertion fails.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// Asserts status and code of an error, and the shape that every error has.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.body["code"], code, "{}", answer.body);
        assert!(answer.body["message"].as_str().is_some_and(|message| message.len() > 10), "{}", answer.body);
        assert_eq!(answer.body["request_id"].as_str(), answer.header("x-request-id"), "{}", answer.body);
        answer
    }

    /// Returns a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns a string field of the body.
    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text {field} in {}", self.body)).to_owned()
    }
}
