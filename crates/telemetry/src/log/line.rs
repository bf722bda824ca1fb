//! JSON log lines, appended to a buffer piece by piece.
//!
//! Only text that cannot break a line is ever appended: compile-time names, numbers, and strings
//! that passed [`is_identifier`]. So nothing here needs escaping.

use std::io::Write;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use signal::ClosedSet;

use super::Level;
use crate::json;

/// Maximum length of a string value.
pub(crate) const LONGEST_IDENTIFIER: usize = 100;

/// Returns whether a byte may occur in an identifier, module path, host address or number. Prose
/// and e-mail addresses contain others.
pub(crate) fn is_identifier_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-')
}

/// Returns whether a text may be recorded: short, and consisting of identifier characters only.
pub(crate) fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_IDENTIFIER && text.bytes().all(is_identifier_byte)
}

/// Begins a line with the fields that every line has.
pub(crate) fn begin(out: &mut Vec<u8>, time: SystemTime, level: Level, event: &str) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    append(out, DateTime::<Utc>::from(time).format("%Y-%m-%dT%H:%M:%S%.6fZ"));
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(level.as_str().as_bytes());
    out.push(b'"');
    text(out, "event", event);
}

/// Appends a field with an identifier as its value. Any other text becomes [`REDACTED`].
pub(crate) fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    json::key(out, name);
    out.push(b'"');
    out.extend_from_slice(if is_identifier(value) { value.as_bytes() } else { REDACTED.as_bytes() });
    out.push(b'"');
}

/// Appends a field whose value is a JSON number or boolean.
pub(crate) fn literal(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    json::key(out, name);
    append(out, value);
}

/// Appends a field with bytes in hexadecimal digits.
pub(crate) fn hex(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    json::key(out, name);
    out.push(b'"');
    json::hex(out, bytes);
    out.push(b'"');
}

/// Returns whether the line already has this field. The search is exact, because no value contains
/// a quotation mark.
pub(crate) fn has_field(line: &[u8], name: &str) -> bool {
    let mut wanted = Vec::with_capacity(name.len() + 4);
    json::key(&mut wanted, name);
    line.windows(wanted.len()).any(|window| window == wanted)
}

/// Closes the JSON object and ends the line.
pub(crate) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

/// The value that replaces text that must not be recorded.
pub(crate) const REDACTED: &str = "redacted";

fn append(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}
