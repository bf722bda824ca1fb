//! Arbitrary header values: parsed exactly if they match W3C's grammar, with the same meaning.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::SpanContext;

fuzz_target!(|value: &[u8]| {
    let parsed = SpanContext::from_traceparent(value).ok();
    assert_eq!(parsed.is_some(), is_traceparent(value), "{:?}", String::from_utf8_lossy(value));
    let Some(context) = parsed else { return };
    let written = context.to_traceparent();
    // Everything but the version and unknown flags is unchanged.
    assert_eq!(written.as_bytes()[2..53], value[2..53]);
    assert_eq!(SpanContext::from_traceparent(written.as_bytes()), Ok(context));
    let flags = std::str::from_utf8(&value[53..55]).ok().and_then(|flags| u8::from_str_radix(flags, 16).ok());
    assert_eq!(flags.map(|flags| flags & 1 == 1), Some(context.sampled));
});

/// An independent implementation of <https://www.w3.org/TR/trace-context/#traceparent-header-field-values>.
fn is_traceparent(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        // Later versions may append anything after the known fields.
        return value.len() > 55 && value[55] == b'-' && is_traceparent_of_later_version(&value[..55]);
    };
    let mut fields = text.splitn(5, '-');
    let (version, trace_id, span_id, flags) = (fields.next(), fields.next(), fields.next(), fields.next());
    let has_more = fields.next().is_some();
    let is_hex = |field: Option<&str>, length: usize| {
        field.is_some_and(|field| {
            field.len() == length && field.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        })
    };
    let is_zero = |field: Option<&str>| field.is_some_and(|field| field.chars().all(|c| c == '0'));
    is_hex(version, 2)
        && is_hex(trace_id, 32)
        && is_hex(span_id, 16)
        && is_hex(flags, 2)
        && version != Some("ff")
        && !is_zero(trace_id)
        && !is_zero(span_id)
        && !(version == Some("00") && has_more)
}

fn is_traceparent_of_later_version(first: &[u8]) -> bool {
    first.is_ascii() && !first.starts_with(b"00") && is_traceparent(first)
}
