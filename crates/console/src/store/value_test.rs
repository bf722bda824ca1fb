//! Tests of values in conditions.

use super::field_value::FieldValue;

/// A test of a field's value, an attribute's value or an event's name. Values are compared as text: a status
/// is `500`.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueTest {
    /// The value exists and is equal.
    Is(String),
    /// The value is different or missing.
    IsNot(String),
    /// The value is one of these.
    OneOf(Vec<String>),
    /// The value is none of these, or missing.
    NoneOf(Vec<String>),
    /// The value begins with this text.
    BeginsWith(String),
    /// The value begins with one of these texts.
    BeginsWithOneOf(Vec<String>),
    /// The value contains this text, which is in lower case.
    Contains(String),
    /// The value is a number and at least this.
    AtLeast(f64),
    /// The value exists and is not empty.
    Exists,
    /// The value is missing or empty.
    Absent,
}

impl ValueTest {
    /// Returns whether a text passes.
    pub fn accepts_text(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted == value,
            Self::IsNot(other) => other != value,
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted == value),
            Self::NoneOf(others) => others.iter().all(|other| other != value),
            Self::BeginsWith(start) => value.starts_with(start),
            Self::BeginsWithOneOf(starts) => starts.iter().any(|start| value.starts_with(start)),
            Self::Contains(text) => value.to_lowercase().contains(text),
            Self::AtLeast(least) => value.parse().is_ok_and(|value: f64| value >= *least),
            Self::Exists => !value.is_empty(),
            Self::Absent => value.is_empty(),
        }
    }

    /// Returns whether a value, or its absence, passes.
    pub fn accepts(&self, value: Option<&FieldValue>) -> bool {
        match (self, value) {
            (_, None) => self.accepts_absence(),
            (Self::AtLeast(least), Some(value)) => value.number().is_some_and(|number| number >= *least),
            (_, Some(value)) => self.accepts_text(&value.text()),
        }
    }

    /// Returns whether a missing value passes, which Loki treats like an empty one.
    pub fn accepts_absence(&self) -> bool {
        self.accepts_text("")
    }
}
