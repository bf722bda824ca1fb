//! Tests of values in the compact encoding.

use super::bytes::Reader;
use super::value::{FieldShape, ValueRef, hex, read_value, uuid};
use crate::store::ValueTest;

/// A text to compare with, in each encoding that it may have.
#[derive(Debug)]
struct Needle {
    text: String,
    bytes: Option<Box<[u8]>>,
    integer: Option<i64>,
}

impl Needle {
    fn new(text: &str) -> Self {
        let long = hex::<16>(text).or_else(|| uuid(text)).map(|id| id.into());
        let integer = text.parse().ok().filter(|number: &i64| number.to_string() == text);
        Self { text: text.to_owned(), bytes: long.or_else(|| hex::<8>(text).map(|id| id.into())), integer }
    }

    fn is_id(&self, id: &[u8], is_uuid: bool) -> bool {
        self.bytes.as_deref() == Some(id) && (self.text.len() == 36) == is_uuid
    }

    #[inline]
    fn equals(&self, value: ValueRef<'_>, texts: &[&str]) -> bool {
        match value {
            ValueRef::Hex(id) => self.is_id(id, false),
            ValueRef::Uuid(id) => self.is_id(id, true),
            ValueRef::Integer(number) => self.integer == Some(number),
            other => other.text(texts) == self.text,
        }
    }
}

/// A test, prepared for all blocks.
#[derive(Debug)]
pub(in crate::store) struct Matcher {
    test: ValueTest,
    needles: Vec<Needle>,
}

impl Matcher {
    pub(in crate::store) fn new(test: &ValueTest) -> Self {
        let needles = match test {
            ValueTest::Is(text) | ValueTest::IsNot(text) => vec![Needle::new(text)],
            ValueTest::OneOf(texts) | ValueTest::NoneOf(texts) => {
                texts.iter().map(|text| Needle::new(text)).collect()
            }
            _ => Vec::new(),
        };
        Self { test: test.clone(), needles }
    }

    pub(in crate::store) fn test(&self) -> &ValueTest {
        &self.test
    }

    /// Returns whether a value passes.
    pub(in crate::store) fn accepts(&self, value: ValueRef<'_>, texts: &[&str]) -> bool {
        let is_one = || self.needles.iter().any(|needle| needle.equals(value, texts));
        match (&self.test, value) {
            (ValueTest::Is(_) | ValueTest::OneOf(_), _) => is_one(),
            (ValueTest::IsNot(_) | ValueTest::NoneOf(_), _) => !is_one(),
            (ValueTest::AtLeast(least), ValueRef::Integer(number)) => number as f64 >= *least,
            (ValueTest::AtLeast(least), ValueRef::Number(number)) => number >= *least,
            (ValueTest::AtLeast(_), ValueRef::Flag(_)) => false,
            (ValueTest::Exists, ValueRef::Hex(_) | ValueRef::Uuid(_) | ValueRef::Integer(_)) => true,
            _ => self.test.accepts_text(&value.text(texts)),
        }
    }
}

/// A check of lines or spans of one shape: at least one of several fields must pass.
#[derive(Debug)]
pub(in crate::store) struct Check<'a> {
    /// One bit per tested field. Fields after the 64th are not stored.
    fields: u64,
    matcher: &'a Matcher,
}

impl<'a> Check<'a> {
    /// Creates a check of the fields for which `is_tested` returns true. Returns `None` if there are
    /// none.
    pub(in crate::store) fn new(
        shape: &FieldShape,
        matcher: &'a Matcher,
        is_tested: impl Fn(usize, u32) -> bool,
    ) -> Option<Self> {
        let tested = shape.iter().take(64).enumerate().filter(|(place, (name, _))| is_tested(*place, *name));
        let fields = tested.fold(0, |fields, (place, _)| fields | 1 << place);
        (fields != 0).then_some(Self { fields, matcher })
    }

    /// Creates a check of the field with a name. The caller handles a missing field.
    pub(in crate::store) fn of_name(
        shape: &FieldShape,
        matcher: &'a Matcher,
        texts: &[&str],
        name: &str,
    ) -> Option<Self> {
        let named = |index: u32| texts.get(index as usize) == Some(&name);
        let place = shape.iter().position(|(index, _)| named(*index))?;
        Self::new(shape, matcher, |other, _| other == place)
    }

    /// Adds a check, if there is one, and returns whether there is.
    pub(in crate::store) fn add(checks: &mut Vec<Self>, check: Option<Self>) -> bool {
        let is_there = check.is_some();
        checks.extend(check);
        is_there
    }

    /// Reads the values of a shape and returns whether all checks pass. Returns `None` if the block is
    /// damaged.
    pub(in crate::store) fn all(
        checks: &[Self],
        shape: &FieldShape,
        reader: &mut Reader<'_>,
        texts: &[&str],
    ) -> Option<bool> {
        let mut passed: u64 = 0;
        for (place, (_, form)) in shape.iter().enumerate() {
            let value = read_value(*form, reader)?;
            for (number, check) in checks.iter().enumerate() {
                let is_tested = place < 64 && check.fields >> place & 1 == 1;
                if is_tested && passed >> number & 1 == 0 && check.matcher.accepts(value, texts) {
                    passed |= 1 << number;
                }
            }
        }
        Some(passed.count_ones() as usize == checks.len())
    }
}
