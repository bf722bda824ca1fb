//! Trace and span identity, W3C trace context, and the sampling decision.

use std::cell::Cell;
use std::fmt;

use uuid::Uuid;

use crate::json;

/// Identifies a trace; also the `request_id` that users see.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Identifies a span within a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The context that a span passes on to its children, to linked jobs and to other services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// Id of the trace that the span belongs to.
    pub trace_id: TraceId,
    /// Id of the span itself.
    pub span_id: SpanId,
    /// True if the span is recorded. Lines and metrics are written either way.
    pub sampled: bool,
}

impl TraceId {
    /// Returns a random id, never all zeros, which the specification declares invalid.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random_bits().to_be_bytes());
        bytes[8..].copy_from_slice(&(random_bits() | 1).to_be_bytes());
        Self(bytes)
    }
}

impl SpanId {
    /// Returns a random id, never all zeros.
    pub fn random() -> Self {
        Self((random_bits() | 1).to_be_bytes())
    }
}

/// Returns 64 bits from a per-thread generator that is seeded once by the system.
///
/// It is wyrand, which is far cheaper than a cryptographic generator. Trace ids are public and
/// protect nothing. `fastrand` is the same generator, but seeds a thread's from the clock and the
/// thread's number only, which two replicas can share; seeding it takes as much code as this.
#[inline]
fn random_bits() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(Uuid::new_v4().as_u64_pair().1);
    }
    STATE.with(|state| {
        let next = state.get().wrapping_add(0xa076_1d64_78bd_642f);
        state.set(next);
        let product = u128::from(next) * u128::from(next ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    })
}

/// The error for a `traceparent` header that cannot be parsed. It is counted, never quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTraceparent;

impl SpanContext {
    /// Parses a W3C `traceparent` header value.
    ///
    /// Versions above 00 are parsed as 00 with additional fields, as
    /// <https://www.w3.org/TR/trace-context/#versioning-of-traceparent> demands. Version ff and
    /// zero ids are malformed.
    pub fn from_traceparent(value: &[u8]) -> Result<Self, MalformedTraceparent> {
        let well_formed = value.len() >= 55
            && [2, 35, 52].iter().all(|at| value[*at] == b'-')
            && (value.len() == 55 || (&value[..2] != b"00" && value[55] == b'-'));
        if !well_formed || &value[..2] == b"ff" {
            return Err(MalformedTraceparent);
        }
        let [_version] = decode_hex(&value[..2])?;
        let trace_id = decode_hex(&value[3..35])?;
        let span_id = decode_hex(&value[36..52])?;
        let [flags] = decode_hex(&value[53..55])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(MalformedTraceparent);
        }
        Ok(Self { trace_id: TraceId(trace_id), span_id: SpanId(span_id), sampled: flags & 1 == 1 })
    }

    /// Returns the `traceparent` header value that passes this context to another service.
    pub fn to_traceparent(self) -> String {
        format!("00-{}-{}-0{}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Decodes lower-case hexadecimal digits; the specification forbids upper-case ones.
fn decode_hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], MalformedTraceparent> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(MalformedTraceparent),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

fn write_hex(f: &mut fmt::Formatter<'_>, id: &[u8]) -> fmt::Result {
    let mut digits = [0; 32];
    let digits = &mut digits[..2 * id.len()];
    json::write_hex(digits, id);
    f.write_str(std::str::from_utf8(digits).unwrap_or_default())
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Selects the traces that are recorded, like `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Fraction of new traces that is recorded, from 0 to 1.
    pub ratio: f64,
    /// If true, the sampling decision of a trusted caller is followed.
    pub parent_based: bool,
}

impl Default for Sampler {
    /// Returns `parentbased_always_on`, the specification's default.
    fn default() -> Self {
        Self { ratio: 1.0, parent_based: true }
    }
}

impl Sampler {
    /// Decides whether a trace is recorded. `parent` is the decision of the trusted parent, if
    /// there is one.
    ///
    /// The decision depends on the 56 random bits of the trace id, so every service that sees the
    /// trace agrees: <https://www.w3.org/TR/trace-context-2/#randomness-of-trace-id>.
    pub fn decide(&self, trace_id: TraceId, parent: Option<bool>) -> bool {
        match parent {
            Some(decided) if self.parent_based => decided,
            _ if self.ratio >= 1.0 => true,
            _ => {
                let [.., b0, b1, b2, b3, b4, b5, b6] = trace_id.0;
                let random = u64::from_be_bytes([0, b0, b1, b2, b3, b4, b5, b6]);
                (random as f64) < self.ratio * (1_u64 << 56) as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        let context = SpanContext::from_traceparent(EXAMPLE.as_bytes()).expect("the specification's example");
        assert!(context.sampled);
        assert_eq!(context.to_traceparent(), EXAMPLE);
    }

    #[test]
    fn malformed_traceparents_are_refused() {
        let refused = [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
        ];
        for value in refused {
            assert_eq!(SpanContext::from_traceparent(value.as_bytes()), Err(MalformedTraceparent), "{value}");
        }
        let later_version = EXAMPLE.replacen("00", "01", 1) + "-more";
        assert!(SpanContext::from_traceparent(later_version.as_bytes()).is_ok());
    }

    #[test]
    fn a_ratio_samples_about_that_part() {
        let sampler = Sampler { ratio: 0.25, parent_based: true };
        let sampled = (0..10_000).filter(|_| sampler.decide(TraceId::random(), None)).count();
        assert!((2_000..3_000).contains(&sampled), "{sampled}");
        assert!(sampler.decide(TraceId::random(), Some(true)));
        assert!(!Sampler { ratio: 0.0, parent_based: false }.decide(TraceId::random(), Some(true)));
    }

    proptest! {
        #[test]
        fn no_header_value_panics(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = SpanContext::from_traceparent(&value);
        }
    }
}
