//! What a record may carry besides its template: typed ids, numbers and members of closed sets. Never text.

use std::panic::Location;

use uuid::Uuid;

use crate::protobuf::FixedFields;
use crate::{ClosedSet, json, protobuf};

/// Names an attribute; declared as a constant, so a name is never made from data.
#[derive(Debug, PartialEq, Eq)]
pub struct Key(pub &'static str);

/// Implemented by typed ids, the only identifiers that can become an attribute.
pub trait Identifier: Copy {
    /// The id's value.
    fn uuid(self) -> Uuid;
}

/// The value of an attribute. There is no variant for text, so customer content cannot become one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttributeValue {
    Id(Uuid),
    Number(u64),
    Name(&'static str),
    /// Nanoseconds, rendered as milliseconds.
    Milliseconds(u64),
    /// A place in the source, fixed when the program was compiled.
    Location(&'static Location<'static>),
}

/// How many attributes a record can carry: as many as the widest operation sets, with room for a few more.
const CAPACITY: usize = 12;

/// The attributes of one record, kept in place so that setting one never allocates.
///
/// They take ids, numbers and members of closed sets:
///
/// ```
/// # static NOTE: telemetry::Key = telemetry::Key("note");
/// let mut attributes = telemetry::Attributes::default();
/// attributes.name(&NOTE, telemetry::ErrorType::Timeout);
/// attributes.number(&NOTE, 1);
/// ```
///
/// What people wrote does not compile, neither owned nor borrowed,
///
/// ```compile_fail,E0277
/// # static NOTE: telemetry::Key = telemetry::Key("note");
/// telemetry::Attributes::default().name(&NOTE, String::from("what somebody wrote"));
/// ```
///
/// ```compile_fail,E0277
/// # static NOTE: telemetry::Key = telemetry::Key("note");
/// telemetry::Attributes::default().name(&NOTE, "what somebody wrote");
/// ```
///
/// nor as a body,
///
/// ```compile_fail,E0277
/// # static NOTE: telemetry::Key = telemetry::Key("note");
/// telemetry::Attributes::default().name(&NOTE, bytes::Bytes::from("what somebody sent"));
/// ```
///
/// nor as an id,
///
/// ```compile_fail,E0277
/// # static NOTE: telemetry::Key = telemetry::Key("note");
/// telemetry::Attributes::default().id(&NOTE, String::from("what somebody wrote"));
/// ```
///
/// nor as the name of an attribute.
///
/// ```compile_fail,E0597
/// let written = String::from("what somebody wrote");
/// telemetry::Attributes::default().number(&telemetry::Key(&written), 1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    slots: [Option<(&'static Key, AttributeValue)>; CAPACITY],
    length: usize,
}

impl Attributes {
    /// Sets an id.
    pub fn id(&mut self, key: &'static Key, id: impl Identifier) {
        self.set(key, AttributeValue::Id(id.uuid()));
    }

    /// Sets a number. OTLP knows signed ones only, so there is none above the largest of those.
    pub fn number(&mut self, key: &'static Key, number: u64) {
        self.set(key, AttributeValue::Number(number.min(i64::MAX as u64)));
    }

    /// Sets a member of a closed set.
    pub fn name(&mut self, key: &'static Key, name: impl ClosedSet) {
        self.set(key, AttributeValue::Name(name.as_str()));
    }

    /// Sets a duration.
    pub fn milliseconds(&mut self, key: &'static Key, nanoseconds: u64) {
        self.set(key, AttributeValue::Milliseconds(nanoseconds));
    }

    /// Sets a place in the source.
    pub(crate) fn location(&mut self, key: &'static Key, location: &'static Location<'static>) {
        self.set(key, AttributeValue::Location(location));
    }

    /// Forgets all of them. What stands in the slots beyond the length is never read.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    fn set(&mut self, key: &'static Key, value: AttributeValue) {
        let used = self.slots[..self.length].iter_mut().flatten();
        if let Some(slot) = used.into_iter().find(|(existing, _)| *existing == key) {
            slot.1 = value;
        } else if let Some(free) = self.slots.get_mut(self.length) {
            *free = Some((key, value));
            self.length += 1;
        } else {
            debug_assert!(false, "no room for the attribute {}", key.0);
        }
    }

    /// Appends every attribute as `,"name":value`.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        for (key, value) in self.slots[..self.length].iter().flatten() {
            json::key(out, key.0);
            match value {
                AttributeValue::Number(number) => json::integer(out, *number),
                AttributeValue::Milliseconds(nanoseconds) => json::milliseconds(out, *nanoseconds),
                AttributeValue::Name(name) => json::string(out, name),
                AttributeValue::Location(at) => json::string(out, &format!("{}:{}", at.file(), at.line())),
                AttributeValue::Id(id) => {
                    let mut quoted = [b'"'; 2 + HYPHENATED];
                    quoted[1..=HYPHENATED].copy_from_slice(&hyphenated(*id));
                    out.extend_from_slice(&quoted);
                }
            }
        }
    }

    /// Appends every attribute as a `KeyValue` of an OTLP span.
    pub(crate) fn write_span(&self, out: &mut Vec<u8>, field: u32) {
        for (key, value) in self.slots[..self.length].iter().flatten() {
            let mut fixed = FixedFields::of_value();
            match value {
                AttributeValue::Number(number) => fixed.uint(any_value::INT, *number),
                AttributeValue::Milliseconds(nanoseconds) => {
                    fixed.fixed64(any_value::DOUBLE, (*nanoseconds as f64 / 1e6).to_bits());
                }
                AttributeValue::Id(id) => fixed.bytes(any_value::STRING, &hyphenated(*id)),
                AttributeValue::Name(name) => {
                    protobuf::string_attribute(out, field, key.0, name);
                    continue;
                }
                AttributeValue::Location(at) => {
                    let text = format!("{}:{}", at.file(), at.line());
                    protobuf::string_attribute(out, field, key.0, &text);
                    continue;
                }
            }
            protobuf::attribute(out, field, key.0, &mut fixed);
        }
    }
}

/// The numbers of the fields of an OTLP `AnyValue`.
mod any_value {
    pub(super) const STRING: u32 = 1;
    pub(super) const INT: u32 = 3;
    pub(super) const DOUBLE: u32 = 4;
}

/// How long an id is as text.
const HYPHENATED: usize = 36;

/// An id as text. All digits at once take two thirds of the instructions of the library's way, byte by byte.
fn hyphenated(id: Uuid) -> [u8; HYPHENATED] {
    let digits = json::digits(id.as_bytes());
    let mut text = [b'-'; HYPHENATED];
    text[..8].copy_from_slice(&digits[..8]);
    text[9..13].copy_from_slice(&digits[8..12]);
    text[14..18].copy_from_slice(&digits[12..16]);
    text[19..23].copy_from_slice(&digits[16..20]);
    text[24..].copy_from_slice(&digits[20..]);
    text
}
