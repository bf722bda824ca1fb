//! Ids of traces and spans.

use std::fmt;
use std::str::FromStr;

/// Id of a trace, which users see as `request_id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

/// Id of a span within its trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; 8]);

/// The text is not an id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has {digits} hexadecimal digits that are not all zero")]
pub struct NoId {
    digits: usize,
}

impl TraceId {
    /// Returns the id with these bytes; `None` if their number is wrong or all are zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        not_zero(bytes).map(Self)
    }
}

impl SpanId {
    /// Returns the id with these bytes; `None` if their number is wrong or all are zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        not_zero(bytes).map(Self)
    }
}

fn not_zero<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id: &[u8; N]| id.iter().any(|byte| *byte != 0))
}

/// Returns the bytes of hexadecimal digits, in upper or lower case.
fn parse<const N: usize>(text: &str) -> Result<[u8; N], NoId> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut id = [0; N];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() == 2 * N {
        for (byte, pair) in id.iter_mut().zip(pairs) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(NoId { digits: 2 * N });
            };
            *byte = high << 4 | low;
        }
    }
    not_zero(&id).ok_or(NoId { digits: 2 * N })
}

impl FromStr for TraceId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        parse(text).map(Self)
    }
}

impl FromStr for SpanId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        parse(text).map(Self)
    }
}

fn write_hex(formatter: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let text = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(text.parse::<TraceId>().unwrap().to_string(), text);
        assert_eq!("00F067aa0ba902b7".parse::<SpanId>().unwrap().to_string(), "00f067aa0ba902b7");
        let wrong = ["", "4bf9", "g0f067aa0ba902b7", "0000000000000000", "éééééééé", "+0f067aa0ba902b7"];
        for text in wrong {
            assert_eq!(text.parse::<SpanId>(), Err(NoId { digits: 16 }), "{text}");
        }
    }
}
