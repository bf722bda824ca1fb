//! Values of fields in the compact encoding.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use super::bytes::{Reader, put_bytes, put_signed, put_varint};
use super::strings::{Shared, Strings};
use crate::store::FieldValue;

/// Field whose value is the same for all lines and spans of a process, so it is always in the table.
const INSTANCE: &str = "service.instance.id";
/// Positions of hyphens in a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Encoding of a value. It is part of the shape, and not repeated with each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::store) enum Form {
    /// The index of a text in the table.
    Shared,
    /// A text.
    Inline,
    /// The bytes of 32 hexadecimal digits.
    Hex16,
    /// The bytes of 16 hexadecimal digits.
    Hex8,
    /// The bytes of a UUID.
    Uuid,
    /// A whole number.
    Integer,
    /// A number in millionths, for the durations of log lines.
    Millionths,
    /// Any other number.
    Number,
    False,
    True,
}

impl Form {
    const ALL: [Self; 10] = [
        Self::Shared,
        Self::Inline,
        Self::Hex16,
        Self::Hex8,
        Self::Uuid,
        Self::Integer,
        Self::Millionths,
        Self::Number,
        Self::False,
        Self::True,
    ];
}

/// Indexes of the names of fields, with the encodings of their values.
pub(in crate::store) type FieldShape = Vec<(u32, Form)>;

/// Appends the values of fields to `out` and returns their shape.
pub(in crate::store) fn write_shape(
    fields: &[(Arc<str>, FieldValue)],
    strings: &mut Strings,
    out: &mut Vec<u8>,
) -> FieldShape {
    let write = |(name, value): &(Arc<str>, FieldValue)| {
        let form = write_value(name, value, strings, out);
        (strings.intern(name), form)
    };
    fields.iter().map(write).collect()
}

fn write_value(name: &str, value: &FieldValue, strings: &mut Strings, out: &mut Vec<u8>) -> Form {
    match value {
        FieldValue::Text(text) => write_text(name, text, strings, out),
        FieldValue::Integer(number) => {
            put_signed(out, *number);
            Form::Integer
        }
        FieldValue::Number(number) => match millionths(*number) {
            Some(millionths) => {
                put_signed(out, millionths);
                Form::Millionths
            }
            None => {
                out.extend_from_slice(&number.to_le_bytes());
                Form::Number
            }
        },
        FieldValue::Flag(false) => Form::False,
        FieldValue::Flag(true) => Form::True,
    }
}

fn write_text(name: &str, text: &str, strings: &mut Strings, out: &mut Vec<u8>) -> Form {
    if name != INSTANCE {
        if let Some(id) = hex::<16>(text) {
            out.extend_from_slice(&id);
            return Form::Hex16;
        }
        if let Some(id) = hex::<8>(text) {
            out.extend_from_slice(&id);
            return Form::Hex8;
        }
        if let Some(id) = uuid(text) {
            out.extend_from_slice(&id);
            return Form::Uuid;
        }
    }
    if strings.wants(text) {
        put_varint(out, u64::from(strings.intern(text)));
        return Form::Shared;
    }
    put_bytes(out, text.as_bytes());
    Form::Inline
}

/// Returns a number in millionths if the conversion is exact.
fn millionths(number: f64) -> Option<i64> {
    let millionths = (number * 1e6).round() as i64;
    let is_exact = (millionths as f64 / 1e6).to_bits() == number.to_bits();
    is_exact.then_some(millionths)
}

/// Returns the bytes of lower-case hexadecimal digits.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    (text.len() == 2 * N).then_some(())?;
    let mut id = [0; N];
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(id)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Returns the bytes of a UUID in lower case.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    (bytes.len() == 36 && HYPHENS.iter().all(|place| bytes[*place] == b'-')).then_some(())?;
    let mut id = [0; 16];
    let mut digits = bytes.iter().enumerate().filter(|(place, _)| !HYPHENS.contains(place));
    for byte in &mut id {
        let (_, high) = digits.next()?;
        let (_, low) = digits.next()?;
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(id)
}

/// A decoded value that borrows its text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::store) enum ValueRef<'a> {
    Shared(u32),
    Inline(&'a str),
    Hex(&'a [u8]),
    Uuid(&'a [u8; 16]),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

#[inline]
pub(in crate::store) fn read_value<'a>(form: Form, reader: &mut Reader<'a>) -> Option<ValueRef<'a>> {
    Some(match form {
        Form::Shared => ValueRef::Shared(u32::try_from(reader.varint()?).ok()?),
        Form::Inline => ValueRef::Inline(reader.text()?),
        Form::Hex16 => ValueRef::Hex(reader.take(16)?),
        Form::Hex8 => ValueRef::Hex(reader.take(8)?),
        Form::Uuid => ValueRef::Uuid(reader.array()?),
        Form::Integer => ValueRef::Integer(reader.signed()?),
        Form::Millionths => ValueRef::Number(reader.signed()? as f64 / 1e6),
        Form::Number => ValueRef::Number(f64::from_le_bytes(*reader.array()?)),
        Form::False => ValueRef::Flag(false),
        Form::True => ValueRef::Flag(true),
    })
}

/// Appends a shape.
pub(in crate::store) fn put_shape(out: &mut Vec<u8>, shape: &FieldShape) {
    put_varint(out, shape.len() as u64);
    for (name, form) in shape {
        put_varint(out, u64::from(*name));
        out.push(*form as u8);
    }
}

pub(in crate::store) fn read_shape(reader: &mut Reader<'_>) -> Option<FieldShape> {
    let count = reader.count()?;
    let field = |_| {
        let name = u32::try_from(reader.varint()?).ok()?;
        Some((name, *Form::ALL.get(usize::from(reader.byte()?))?))
    };
    (0..count).map(field).collect()
}

impl ValueRef<'_> {
    /// Returns the value as text.
    pub(in crate::store) fn text<'a>(&'a self, texts: &[&'a str]) -> Cow<'a, str> {
        match self {
            Self::Shared(index) => Cow::Borrowed(texts.get(*index as usize).copied().unwrap_or_default()),
            Self::Inline(text) => Cow::Borrowed(text),
            Self::Hex(bytes) => Cow::Owned(hex_text(bytes)),
            Self::Uuid(bytes) => Cow::Owned(uuid_text(bytes)),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        }
    }

    /// Returns the value as an owned one.
    pub(in crate::store) fn to_value(self, texts: &[&str], shared: &mut Shared) -> Option<FieldValue> {
        Some(match self {
            Self::Shared(index) => FieldValue::Text(shared.get(texts, index)?),
            Self::Integer(number) => FieldValue::Integer(number),
            Self::Number(number) => FieldValue::Number(number),
            Self::Flag(flag) => FieldValue::Flag(flag),
            Self::Inline(_) | Self::Hex(_) | Self::Uuid(_) => FieldValue::Text(self.text(texts).into()),
        })
    }
}

fn hex_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = hex_text(bytes);
    for place in HYPHENS {
        text.insert(place, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        let long = "x".repeat(200);
        let texts = [
            "",
            "GET",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "4BF92F3577B34DA6A3CE929D0E0E4736",
            "00f067aa0ba902b7",
            "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a",
            "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6A",
            "0193a5b0x7c1e-7d3a-9a52-1f2e3d4c5b6a",
            "é193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6",
            &long,
        ];
        let numbers = [0.0, -0.0, 1.25, 0.000001, 12.345678, 1e300, f64::MIN_POSITIVE, f64::INFINITY, -7.5];
        let mut values: Vec<FieldValue> = texts.map(FieldValue::from).into();
        values.extend(numbers.map(FieldValue::from));
        values.extend([i64::MIN, -1, 0, 500, i64::MAX].map(FieldValue::from));
        values.extend([FieldValue::Flag(true), FieldValue::Flag(false)]);
        let fields: Vec<_> = values.into_iter().map(|value| ("a".into(), value)).collect();

        let (mut strings, mut out) = (Strings::default(), Vec::new());
        let shape = write_shape(&fields, &mut strings, &mut out);
        let mut written_shape = Vec::new();
        put_shape(&mut written_shape, &shape);
        assert_eq!(read_shape(&mut Reader::new(&written_shape)), Some(shape.clone()));

        let (mut reader, mut shared) = (Reader::new(&out), Shared::default());
        for ((name, form), (_, value)) in shape.into_iter().zip(fields) {
            let read = read_value(form, &mut reader).unwrap();
            assert_eq!(strings.texts()[name as usize], "a");
            assert_eq!(read.text(&strings.texts()), value.text());
            assert_eq!(read.to_value(&strings.texts(), &mut shared).unwrap(), value);
        }
        assert!(reader.rest().is_empty());
    }
}
