//! The parts of the protobuf wire format that OTLP needs, written directly into a byte buffer.
//!
//! Field numbers and wire types: <https://protobuf.dev/programming-guides/encoding/>.

/// Bytes reserved for a message length that is patched once the message is complete.
///
/// A varint may be padded with continuation bytes; three bytes hold lengths below 2 MiB.
const PATCHED_LENGTH: usize = 3;
const PATCHED_LENGTH_LIMIT: usize = 1 << (7 * PATCHED_LENGTH);

/// Appends a base-128 varint.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from(field << 3 | wire_type));
}

/// Appends a varint field; the default value 0 is left out, as proto3 does.
#[inline]
pub(crate) fn uint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, 0);
        varint(out, value);
    }
}

/// Appends a varint field even if it is 0, as members of a `oneof` require.
#[inline]
pub(crate) fn uint_member(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, 0);
    varint(out, value);
}

/// Appends a `fixed64` (or `sfixed64`, `double`) field.
#[inline]
pub(crate) fn fixed64_field(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `double` field.
pub(crate) fn double_field(out: &mut Vec<u8>, field: u32, value: f64) {
    fixed64_field(out, field, value.to_bits());
}

/// Appends a length-delimited field: bytes, a string or an encoded message.
#[inline]
pub(crate) fn bytes_field(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Tag of the field `key` of a `KeyValue`.
const KEY_VALUE_KEY: u8 = 1 << 3 | 2;
const KEY_VALUE_VALUE: u8 = 2 << 3 | 2;

/// Fields of known length, of a span or an attribute's value. They are assembled on the stack and
/// appended at once.
pub(crate) struct FixedFields {
    bytes: [u8; FixedFields::CAPACITY],
    length: usize,
}

impl FixedFields {
    /// Room for three ids, two times and the flags.
    const CAPACITY: usize = (2 + 16) + 2 * (2 + 8) + 2 * (1 + 8) + (2 + 4);

    #[inline]
    pub(crate) fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], length: 0 }
    }

    /// Begins the value of a `KeyValue`. Append its fields, then call [`attribute`].
    #[inline]
    pub(crate) fn of_value() -> Self {
        let mut fields = Self::new();
        fields.push([KEY_VALUE_VALUE, 0]);
        fields
    }

    /// Completes a value begun by [`of_value`](Self::of_value): writes its length.
    #[inline]
    fn as_value(&mut self) -> &[u8] {
        self.bytes[1] = (self.length - 2) as u8;
        self.as_slice()
    }

    #[inline]
    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.length..self.length + N].copy_from_slice(&bytes);
        self.length += N;
    }

    /// Writes a tag, like [`varint`].
    #[inline]
    fn tag(&mut self, field: u32, wire_type: u32) {
        let tag = field << 3 | wire_type;
        if tag < 0x80 {
            self.push([tag as u8]);
        } else {
            self.push([tag as u8 | 0x80, (tag >> 7) as u8]);
        }
    }

    #[inline]
    pub(crate) fn bytes<const N: usize>(&mut self, field: u32, value: &[u8; N]) {
        self.tag(field, 2);
        self.push([N as u8]);
        self.push(*value);
    }

    #[inline]
    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, 1);
        self.push(value.to_le_bytes());
    }

    #[inline]
    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, 5);
        self.push(value.to_le_bytes());
    }

    /// Writes an integer field, like [`uint_member`].
    #[inline]
    pub(crate) fn uint(&mut self, field: u32, mut value: u64) {
        self.tag(field, 0);
        while value >= 0x80 {
            self.push([value as u8 | 0x80]);
            value >>= 7;
        }
        self.push([value as u8]);
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Appends an OTLP `KeyValue` as field `field`, with the value assembled in `value`. Nearly all are
/// so short that each length is one byte that is known in advance, which saves half the cost of
/// [`string_attribute`].
#[inline]
pub(crate) fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &mut FixedFields) {
    let value = value.as_value();
    let (tag, length) = (field << 3 | 2, 2 + key.len() + value.len());
    if tag >= 0x80 || length >= 0x80 {
        return message_field(out, field, |out| {
            bytes_field(out, 1, key.as_bytes());
            out.extend_from_slice(value);
        });
    }
    out.extend_from_slice(&[tag as u8, length as u8, KEY_VALUE_KEY, key.len() as u8]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value);
}

/// Appends a packed repeated `fixed64` or `double` field.
pub(crate) fn packed_fixed64_field(
    out: &mut Vec<u8>,
    field: u32,
    values: impl ExactSizeIterator<Item = u64>,
) {
    tag(out, field, 2);
    varint(out, values.len() as u64 * 8);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends a `sint32` field; the default value 0 is left out, as proto3 does.
pub(crate) fn signed_field(out: &mut Vec<u8>, field: u32, value: i32) {
    uint_field(out, field, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends a packed repeated varint field.
pub(crate) fn packed_varint_field(out: &mut Vec<u8>, field: u32, values: &[u64]) {
    let length = |value: &u64| u64::from((64 - (value | 1).leading_zeros()).div_ceil(7));
    tag(out, field, 2);
    varint(out, values.iter().map(length).sum());
    for value in values {
        varint(out, *value);
    }
}

/// Appends a nested message whose length is unknown until it has been written.
///
/// The length is patched into a padded varint afterwards, so nothing is encoded twice. Messages of
/// 2 MiB and more, which only a whole export request can reach, have their length inserted instead.
#[inline]
pub(crate) fn message_field(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let tag = field << 3 | 2;
    if tag < 0x80 {
        // A tag of one byte and the length are one piece.
        out.extend_from_slice(&[tag as u8, 0, 0, 0]);
    } else {
        varint(out, u64::from(tag));
        out.extend_from_slice(&[0; PATCHED_LENGTH]);
    }
    let start = out.len();
    let length_at = start - PATCHED_LENGTH;
    write(out);
    let length = out.len() - start;
    if length < PATCHED_LENGTH_LIMIT {
        out[length_at] = length as u8 | 0x80;
        out[length_at + 1] = (length >> 7) as u8 | 0x80;
        out[length_at + 2] = (length >> 14) as u8;
    } else {
        let mut exact = Vec::with_capacity(10);
        varint(&mut exact, length as u64);
        out.splice(length_at..start, exact);
    }
}

/// Appends an OTLP `KeyValue` with a string value as field `field`.
pub(crate) fn string_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    message_field(out, field, |out| {
        bytes_field(out, 1, key.as_bytes());
        message_field(out, 2, |out| bytes_field(out, 1, value.as_bytes()));
    });
}

/// Appends an OTLP `KeyValue` with an integer value as field `field`.
pub(crate) fn integer_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: i64) {
    message_field(out, field, |out| {
        bytes_field(out, 1, key.as_bytes());
        message_field(out, 2, |out| uint_member(out, 3, value as u64));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn an_attribute_is_decodable_whatever_its_length() {
        use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValueList, any_value::Value};
        for length in [0, 1, 50, 119, 120, 121, 130, 20_000] {
            let (key, mut value) = ("k".repeat(length), FixedFields::of_value());
            value.uint(3, 1 << 40);
            let mut out = Vec::new();
            attribute(&mut out, 1, &key, &mut value);
            let list = KeyValueList::decode(&out[..]).expect("decodable");
            assert_eq!(list.values[0].key, key);
            assert_eq!(list.values[0].value, Some(AnyValue { value: Some(Value::IntValue(1 << 40)) }));
        }
    }

    #[test]
    fn a_message_beyond_the_padded_length_is_still_decodable() {
        use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
        for length in [0, 10, 200, (1 << 21) - 10, 1 << 21, 3 << 20] {
            let text = "x".repeat(length);
            let mut out = Vec::new();
            string_attribute(&mut out, 1, "k", &text);
            // Field 1 of `KeyValueList` is a repeated `KeyValue`.
            let list =
                opentelemetry_proto::tonic::common::v1::KeyValueList::decode(&out[..]).expect("decodable");
            assert_eq!(list.values[0].value, Some(AnyValue { value: Some(Value::StringValue(text)) }));
        }
    }
}
