//! Parses the few relevant fields of a collector's response from protobuf.
//!
//! Text in a response is never read: it comes from outside and may quote the request.

use std::time::Duration;

/// Returns the number of items that an `ExportTraceServiceResponse` or
/// `ExportMetricsServiceResponse` reports as rejected.
///
/// Both have `partial_success = 1`, and in it the number of rejected spans or points as field 1.
/// Any other response counts as zero.
pub(super) fn rejected_items(message: &[u8]) -> u64 {
    let rejected = last_number(messages(message, 1), 1);
    // The field is a signed integer; a negative number of items is meaningless.
    rejected.map_or(0, |number| u64::try_from(number.cast_signed()).unwrap_or(0))
}

/// Returns whether the bytes can be a response of the protocol. Texts and pages are not.
///
/// Later versions may add a few fields. A higher field number means that the bytes are text.
pub(super) fn is_response(message: &[u8]) -> bool {
    const HIGHEST_FIELD: u64 = 7;
    let mut fields = Fields(message);
    while !fields.0.is_empty() {
        let is_known = match fields.next() {
            Some((1, Value::Bytes(_))) => true,
            Some((number, _)) => (2..=HIGHEST_FIELD).contains(&number),
            None => false,
        };
        if !is_known {
            return false;
        }
    }
    true
}

/// Returns the number of rejected items of a response in JSON, which some backends send whatever
/// the encoding of the request. Returns `None` if it is not a response of the protocol.
pub(super) fn rejected_items_in_json(message: &[u8]) -> Option<u64> {
    if message.is_empty() {
        return Some(0);
    }
    let response: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(message).ok()?;
    let Some(partial_success) = response.get("partialSuccess") else {
        return response.is_empty().then_some(0);
    };
    let number = ["rejectedSpans", "rejectedDataPoints"].iter().find_map(|name| partial_success.get(name));
    // The JSON encoding writes 64-bit integers as text.
    let number = number.and_then(|number| number.as_u64().or_else(|| number.as_str()?.parse().ok()));
    Some(number.unwrap_or(0))
}

/// Returns the pause that a `google.rpc.Status` (the `grpc-status-details-bin` trailer) requests by
/// `RetryInfo`.
pub(super) fn retry_delay(status: &[u8]) -> Option<Duration> {
    const RETRY_INFO: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";
    let retry_info = messages(status, 3).find(|any| last_message(any, 1) == Some(RETRY_INFO))?;
    let retry_info = last_message(retry_info, 2)?;
    messages(retry_info, 1).next()?;
    let seconds = last_number(messages(retry_info, 1), 1).unwrap_or(0);
    // If a 32-bit number was encoded with more bits, the lower ones count.
    let nanoseconds = last_number(messages(retry_info, 1), 2).unwrap_or(0) as u32;
    // Negative parts are huge as unsigned numbers and do not fit.
    if i64::try_from(seconds).is_err() || nanoseconds >= 1_000_000_000 {
        return None;
    }
    Some(Duration::new(seconds, nanoseconds))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Iterates over the fields of a message and stops at the first malformed byte.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

fn messages(message: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    Fields(message).filter_map(move |(number, value)| match value {
        Value::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    })
}

fn last_message(message: &[u8], field: u64) -> Option<&[u8]> {
    messages(message, field).last()
}

/// Returns the last value of a field. A message may be split into several pieces.
fn last_number<'a>(pieces: impl Iterator<Item = &'a [u8]>, field: u64) -> Option<u64> {
    pieces
        .flat_map(Fields)
        .filter_map(|(number, value)| match value {
            Value::Number(value) if number == field => Some(value),
            _ => None,
        })
        .last()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
    };
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// The messages of `google/rpc/status.proto` and its imports, as far as they are used.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct RetryInfo {
        #[prost(message, tag = "1")]
        retry_delay: Option<DurationMessage>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct DurationMessage {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }

    fn status_with_pause(seconds: i64, nanos: i32) -> Vec<u8> {
        let info = RetryInfo { retry_delay: Some(DurationMessage { seconds, nanos }) };
        let other =
            Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".to_owned(), value: vec![1, 2, 3] };
        let retry = Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        };
        Status { code: 8, message: "busy".to_owned(), details: vec![other, retry] }.encode_to_vec()
    }

    #[test]
    fn an_empty_response_rejects_nothing() {
        assert_eq!(rejected_items(b""), 0);
        assert_eq!(rejected_items(b"<html>not protobuf at all</html>"), 0);
        assert_eq!(retry_delay(b""), None);
        assert_eq!(retry_delay(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn texts_and_pages_are_no_responses() {
        let texts = [
            "<!DOCTYPE html><html><body>Please log in</body></html>",
            "<html>",
            " <html>",
            "OK",
            "ok",
            "accepted",
            "Please log in",
            "success\n",
            "{}",
            "\n\n",
            "1",
            "204",
            "true",
            "\u{1}",
            "\0",
            "\x0a\x05ab",
        ];
        for text in texts {
            assert!(!is_response(text.as_bytes()), "{text:?}");
        }
        assert!(is_response(b""), "an empty message says that everything was accepted");
        assert!(is_response(b"\x0a\x00"));
        assert!(is_response(b"\x0a\x00\x10\x01"), "a field of a later version");
    }

    #[test]
    fn responses_in_json_are_read() {
        let table = [
            ("{}", Some(0)),
            (r#"{"partialSuccess":{}}"#, Some(0)),
            (r#"{"partialSuccess":null}"#, Some(0)),
            (r#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"no"}}"#, Some(7)),
            (r#"{"partialSuccess":{"rejectedDataPoints":3}}"#, Some(3)),
            (r#"{"partialSuccess":{"rejectedDataPoints":-3}}"#, Some(0)),
            (r#"{"error":"log in"}"#, None),
            (r#"[]"#, None),
            ("", Some(0)),
            ("{", None),
        ];
        for (text, expected) in table {
            assert_eq!(rejected_items_in_json(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn pieces_of_a_message_are_one_message() {
        let rejected = |rejected_spans: i64| ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess { rejected_spans, error_message: String::new() }),
        };
        let pieces = [rejected(7).encode_to_vec(), rejected(0).encode_to_vec()].concat();
        let read = ExportTraceServiceResponse::decode(&pieces[..]).expect("a message");
        assert_eq!(read, rejected(7), "the second piece says nothing about the number");
        assert_eq!(rejected_items(&pieces), 7);

        let pause = |seconds: i64, nanos: i32| {
            RetryInfo { retry_delay: Some(DurationMessage { seconds, nanos }) }.encode_to_vec()
        };
        let value = [pause(1, 0), pause(0, 5)].concat();
        let retry = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value };
        let status = Status { code: 8, message: String::new(), details: vec![retry] };
        assert_eq!(retry_delay(&status.encode_to_vec()), Some(Duration::new(1, 5)));
    }

    #[test]
    fn negative_and_overlong_pauses_are_no_pauses() {
        assert_eq!(retry_delay(&status_with_pause(-1, 0)), None);
        assert_eq!(retry_delay(&status_with_pause(1, -1)), None);
        assert_eq!(retry_delay(&status_with_pause(1, 1_000_000_000)), None);
        assert_eq!(retry_delay(&status_with_pause(0, 0)), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn refused_items_are_read_from_both_messages(rejected: i64, text in ".{0,40}") {
            let traces = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message: text.clone(),
                }),
            };
            let metrics = ExportMetricsServiceResponse {
                partial_success: Some(ExportMetricsPartialSuccess {
                    rejected_data_points: rejected,
                    error_message: text,
                }),
            };
            let expected = u64::try_from(rejected).unwrap_or(0);
            prop_assert_eq!(rejected_items(&traces.encode_to_vec()), expected);
            prop_assert_eq!(rejected_items(&metrics.encode_to_vec()), expected);
            prop_assert!(is_response(&traces.encode_to_vec()) && is_response(&metrics.encode_to_vec()));
        }

        #[test]
        fn pauses_are_read(seconds in 0..i64::MAX, nanos in 0..1_000_000_000_i32) {
            let expected = Duration::new(seconds.cast_unsigned(), nanos.cast_unsigned());
            prop_assert_eq!(retry_delay(&status_with_pause(seconds, nanos)), Some(expected));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            rejected_items(&bytes);
            is_response(&bytes);
            rejected_items_in_json(&bytes);
            retry_delay(&bytes);
        }
    }
}
