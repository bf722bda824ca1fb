//! Responses of a collector: arbitrary bytes cause no failure, and valid messages are decoded like by the
//! official types.

#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

#[path = "../../crates/telemetry/src/otlp/transport/response.rs"]
mod response;

fuzz_target!(|bytes: &[u8]| {
    let (rejected, delay) = (response::rejected_items(bytes), response::retry_delay(bytes));
    // Groups end decoding here; protobuf deprecated them long ago.
    if may_have_groups(bytes, 0) {
        return;
    }
    if let Ok(response) = ExportTraceServiceResponse::decode(bytes) {
        let official = response.partial_success.unwrap_or_default().rejected_spans;
        assert_eq!(rejected, u64::try_from(official).unwrap_or(0));
    }
    if let Ok(response) = ExportMetricsServiceResponse::decode(bytes) {
        let official = response.partial_success.unwrap_or_default().rejected_data_points;
        assert_eq!(rejected, u64::try_from(official).unwrap_or(0));
    }
    if let Ok(status) = Status::decode(bytes) {
        assert_eq!(delay, official_delay(&status));
    }
});

/// Returns whether a group occurs at any depth, in anything that could be a message.
fn may_have_groups(mut bytes: &[u8], depth: u32) -> bool {
    while !bytes.is_empty() && depth < 8 {
        let Ok((tag, wire_type)) = decode_key(&mut bytes) else { return false };
        let before = bytes;
        match wire_type {
            WireType::StartGroup | WireType::EndGroup => return true,
            _ if skip_field(wire_type, tag, &mut bytes, DecodeContext::default()).is_err() => return false,
            WireType::LengthDelimited => {
                let mut field = &before[..before.len() - bytes.len()];
                if decode_varint(&mut field).is_ok() && may_have_groups(field, depth + 1) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// Delay in the first `RetryInfo` that contains a valid one.
fn official_delay(status: &Status) -> Option<std::time::Duration> {
    let info =
        status.details.iter().find(|any| any.type_url == "type.googleapis.com/google.rpc.RetryInfo")?;
    // The library decodes it leniently, so a malformed one has no reference value.
    let Ok(info) = RetryInfo::decode(&info.value[..]) else {
        return response::retry_delay(&status.encode_to_vec());
    };
    let delay = info.retry_delay?;
    let nanoseconds = u32::try_from(delay.nanos).ok().filter(|nanoseconds| *nanoseconds < 1_000_000_000)?;
    Some(std::time::Duration::new(u64::try_from(delay.seconds).ok()?, nanoseconds))
}

/// The used parts of `google/rpc/status.proto` and related messages.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
