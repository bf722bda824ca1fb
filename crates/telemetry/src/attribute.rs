//! Attributes that a record may carry besides its template: typed ids, numbers and members of
//! closed sets, never text.

use std::panic::Location;

use signal::{ClosedSet, Identifier, Key};
use uuid::Uuid;

use crate::protobuf::FixedFields;
use crate::{json, protobuf};

/// The value of an attribute. There is no variant for text, so customer content cannot become one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttributeValue {
    Id(Uuid),
    Number(u64),
    Name(&'static str),
    /// Nanoseconds, rendered as milliseconds.
    Milliseconds(u64),
    /// A source location, fixed at compile time.
    Location(&'static Location<'static>),
}

/// Maximum number of attributes of a record: as many as the widest operation sets, plus a small
/// margin. Others are dropped and counted.
const CAPACITY: usize = 12;

/// The attributes of one record, stored inline so that setting one never allocates.
///
/// They accept ids, numbers and members of closed sets:
///
/// ```
/// # static NOTE: telemetry::Key = telemetry::Key("note");
/// let mut attributes = telemetry::Attributes::default();
/// attributes.name(&NOTE, telemetry::ErrorType::Timeout);
/// attributes.number(&NOTE, 1);
/// ```
///
/// Text written by people does not compile, neither owned nor borrowed,
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
    /// Number of attributes for which there was no room.
    dropped: u32,
}

/// Field of a line with the number of attributes that it lacks.
const REMOVED_FIELDS: &str = "fields.removed";

/// Field number of `Span.dropped_attributes_count`.
const DROPPED_ATTRIBUTES_COUNT: u32 = 10;

impl Attributes {
    /// Sets a UUID attribute, rendered in hyphenated form.
    pub fn id(&mut self, key: &'static Key, id: impl Identifier) {
        self.set(key, AttributeValue::Id(id.uuid()));
    }

    /// Sets a number. Larger values are clamped to `i64::MAX`, because OTLP integers are signed.
    pub fn number(&mut self, key: &'static Key, number: u64) {
        self.set(key, AttributeValue::Number(number.min(i64::MAX as u64)));
    }

    /// Sets an attribute to the `as_str` of a member of a closed set.
    pub fn name(&mut self, key: &'static Key, name: impl ClosedSet) {
        self.set(key, AttributeValue::Name(name.as_str()));
    }

    /// Sets a duration, rendered in milliseconds.
    pub fn milliseconds(&mut self, key: &'static Key, nanoseconds: u64) {
        self.set(key, AttributeValue::Milliseconds(nanoseconds));
    }

    /// Sets a source location.
    pub(crate) fn location(&mut self, key: &'static Key, location: &'static Location<'static>) {
        self.set(key, AttributeValue::Location(location));
    }

    /// Returns the member of a closed set that an attribute is set to.
    pub(crate) fn name_of(&self, name: &str) -> Option<&'static str> {
        self.slots[..self.length].iter().flatten().find_map(|(key, value)| match value {
            AttributeValue::Name(member) if key.0 == name => Some(*member),
            _ => None,
        })
    }

    /// Removes all attributes. Slots beyond the length keep their old values but are never read.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.dropped = 0;
    }

    fn set(&mut self, key: &'static Key, value: AttributeValue) {
        let used = self.slots[..self.length].iter_mut().flatten();
        if let Some(slot) = used.into_iter().find(|(existing, _)| *existing == key) {
            slot.1 = value;
        } else if let Some(free) = self.slots.get_mut(self.length) {
            *free = Some((key, value));
            self.length += 1;
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Appends every attribute as `,"name":value`, and the number of dropped ones.
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
        if self.dropped > 0 {
            json::key(out, REMOVED_FIELDS);
            json::integer(out, self.dropped.into());
        }
    }

    /// Appends every attribute as a `KeyValue` of an OTLP span, and the number of dropped ones.
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
        if self.dropped > 0 {
            protobuf::uint_field(out, DROPPED_ATTRIBUTES_COUNT, self.dropped.into());
        }
    }
}

/// Field numbers of an OTLP `AnyValue`.
mod any_value {
    pub(super) const STRING: u32 = 1;
    pub(super) const INT: u32 = 3;
    pub(super) const DOUBLE: u32 = 4;
}

/// Length of a UUID in hyphenated text form.
const HYPHENATED: usize = 36;

/// Renders a UUID in hyphenated form. Writing all digits at once takes two thirds of the
/// instructions that the library's byte-by-byte way takes.
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
