//! Packed blocks of lines.

use std::collections::HashMap;
use std::sync::Arc;

use signal::{ClosedSet, Level};

use super::event_names::EventNames;
use super::line::{Line, Position};
use super::search::LEVELS;
use crate::store::packed::{
    FieldShape, Reader, Shared, Strings, deflate, inflate, put_shape, put_signed, put_varint, read_shape,
    read_value, write_shape,
};

/// Size at which a block is packed, in bytes of its lines.
const BLOCK: usize = 64 << 10;
/// Maximum number of lines of a block.
const MOST_LINES: u32 = 16_384;

/// Shape of lines: everything that lines of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LineShape {
    pub(super) level: Level,
    pub(super) event: u32,
    pub(super) fields: FieldShape,
}

/// Times, levels and numbers of a block's lines, with which a search can skip it.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// Number of the last line.
    pub(super) last: u64,
    pub(super) lines: u32,
    /// Unix microseconds of the oldest and the newest line.
    pub(super) oldest: i64,
    pub(super) newest: i64,
    pub(super) levels: [u32; LEVELS],
    /// Bits of its events, see [`EventNames`].
    pub(super) events: u64,
}

impl Summary {
    fn empty() -> Self {
        Self { last: 0, lines: 0, oldest: i64::MAX, newest: i64::MIN, levels: [0; LEVELS], events: 0 }
    }

    fn add(&mut self, number: u64, line: &Line) {
        self.last = number;
        self.lines += 1;
        self.oldest = self.oldest.min(line.at);
        self.newest = self.newest.max(line.at);
        self.levels[line.level.index()] += 1;
    }
}

/// A block that is being filled.
#[derive(Debug)]
pub(super) struct OpenBlock {
    pub(super) summary: Summary,
    strings: Strings,
    indexes: HashMap<LineShape, u32>,
    shapes: Vec<LineShape>,
    body: Vec<u8>,
    values: Vec<u8>,
    last_at: i64,
}

impl Default for OpenBlock {
    fn default() -> Self {
        Self {
            summary: Summary::empty(),
            strings: Strings::default(),
            indexes: HashMap::new(),
            shapes: Vec::new(),
            body: Vec::with_capacity(BLOCK + 4096),
            values: Vec::new(),
            last_at: 0,
        }
    }
}

impl OpenBlock {
    pub(super) fn is_empty(&self) -> bool {
        self.summary.lines == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.body.len() >= BLOCK || self.strings.bytes() >= 4 * BLOCK || self.summary.lines >= MOST_LINES
    }

    pub(super) fn bytes(&self) -> usize {
        self.body.capacity() + self.strings.bytes()
    }

    /// Adds a line with a number above all before.
    pub(super) fn append(&mut self, number: u64, line: &Line, names: &mut EventNames) {
        self.values.clear();
        let event = self.strings.intern(&line.event);
        let fields = write_shape(&line.fields, &mut self.strings, &mut self.values);
        let shape = LineShape { level: line.level, event, fields };
        let index = match self.indexes.get(&shape) {
            Some(index) => *index,
            None => {
                self.summary.events |= names.bit(&line.event);
                let index = self.shapes.len() as u32;
                self.shapes.push(shape.clone());
                self.indexes.insert(shape, index);
                index
            }
        };
        put_varint(&mut self.body, u64::from(index));
        put_varint(&mut self.body, number - self.summary.last);
        put_signed(&mut self.body, line.at.wrapping_sub(self.last_at));
        self.body.extend_from_slice(&self.values);
        self.last_at = line.at;
        self.summary.add(number, line);
    }

    pub(super) fn view(&self) -> View<'_> {
        View { texts: self.strings.texts(), shapes: self.shapes.clone(), body: &self.body }
    }

    pub(super) fn pack(self) -> Block {
        let mut bytes = Vec::with_capacity(self.body.len() + 16_384);
        self.strings.write(&mut bytes);
        put_varint(&mut bytes, self.shapes.len() as u64);
        for shape in &self.shapes {
            bytes.push(shape.level.index() as u8);
            put_varint(&mut bytes, u64::from(shape.event));
            put_shape(&mut bytes, &shape.fields);
        }
        bytes.extend_from_slice(&self.body);
        Block { summary: self.summary, packed: deflate(&bytes), length: bytes.len() }
    }
}

/// A packed block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) summary: Summary,
    packed: Box<[u8]>,
    length: usize,
}

impl Block {
    pub(super) fn bytes(&self) -> usize {
        self.packed.len() + size_of::<Self>()
    }

    pub(super) fn inflate(&self) -> Option<Vec<u8>> {
        inflate(&self.packed, self.length)
    }
}

/// The lines of an unpacked block.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) texts: Vec<&'a str>,
    pub(super) shapes: Vec<LineShape>,
    body: &'a [u8],
}

/// An undecoded line of a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) position: Position,
    pub(super) shape: usize,
    values: &'a [u8],
}

impl<'a> View<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let texts = Strings::read(&mut reader)?;
        let count = reader.count()?;
        let shape = |_| {
            let level = *Level::ALL.get(usize::from(reader.byte()?))?;
            let event = u32::try_from(reader.varint()?).ok()?;
            Some(LineShape { level, event, fields: read_shape(&mut reader)? })
        };
        let shapes = (0..count).map(shape).collect::<Option<_>>()?;
        Some(Self { texts, shapes, body: reader.rest() })
    }

    /// Passes all lines to `each`, which must read the values of the line. Returns `None` if the block is
    /// damaged.
    pub(super) fn rows(&self, mut each: impl FnMut(Row<'a>, &mut Reader<'a>) -> Option<()>) -> Option<()> {
        let mut reader = Reader::new(self.body);
        let (mut at, mut number) = (0_i64, 0_u64);
        while !reader.rest().is_empty() {
            let shape = usize::try_from(reader.varint()?).ok()?;
            number = number.wrapping_add(reader.varint()?);
            at = at.wrapping_add(reader.signed()?);
            self.shapes.get(shape)?;
            each(Row { position: Position { at, number }, shape, values: reader.rest() }, &mut reader)?;
        }
        Some(())
    }

    /// Skips the values of a line.
    pub(super) fn skip(&self, shape: usize, reader: &mut Reader<'_>) -> Option<()> {
        self.shapes.get(shape)?.fields.iter().try_for_each(|(_, form)| read_value(*form, reader).map(drop))
    }

    pub(super) fn line(&self, row: Row<'_>, shared: &mut Shared) -> Option<Line> {
        let shape = self.shapes.get(row.shape)?;
        let mut reader = Reader::new(row.values);
        let mut fields = Vec::with_capacity(shape.fields.len());
        for (name, form) in &shape.fields {
            let value = read_value(*form, &mut reader)?.to_value(&self.texts, shared)?;
            fields.push((shared.get(&self.texts, *name)?, value));
        }
        let event: Arc<str> = shared.get(&self.texts, shape.event)?;
        Some(Line { at: row.position.at, level: shape.level, event, fields })
    }

    /// Returns the text of a field; `None` if the line does not have it.
    pub(super) fn text_of(&self, row: Row<'_>, place: usize) -> Option<String> {
        let shape = self.shapes.get(row.shape)?;
        let mut reader = Reader::new(row.values);
        for (_, form) in shape.fields.iter().take(place) {
            read_value(*form, &mut reader)?;
        }
        let (_, form) = shape.fields.get(place)?;
        Some(read_value(*form, &mut reader)?.text(&self.texts).into_owned())
    }
}

/// Lines for tests.
#[cfg(test)]
pub(super) mod generate {
    use proptest::prelude::*;

    use super::*;
    use crate::store::FieldValue;

    fn value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            "[a-c]{0,3}|[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\\PC{0,200}"
                .prop_map(|text| FieldValue::from(&*text)),
            any::<i64>().prop_map(FieldValue::from),
            (0_u32..1_000_000_000).prop_map(|number| FieldValue::from(f64::from(number) / 1e6)),
            proptest::num::f64::NORMAL.prop_map(FieldValue::from),
            any::<bool>().prop_map(FieldValue::from),
        ]
    }

    pub(in crate::store::lines) fn line() -> impl Strategy<Value = Line> {
        let field = ("[a-e]\\.id|trace_id|service.instance.id|[a-z]{0,9}", value());
        let fields = prop::collection::vec(field.prop_map(|(name, value)| (name.into(), value)), 0..8);
        (0_i64..1000, 0..LEVELS, "[a-c]{1,2}", fields).prop_map(|(at, level, event, fields)| Line {
            at,
            level: Level::ALL[level],
            event: event.into(),
            fields,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::generate::line;
    use super::*;

    fn lines_of(view: &View<'_>) -> Option<Vec<Line>> {
        let (mut lines, mut shared) = (Vec::new(), Shared::default());
        view.rows(|row, reader| {
            view.skip(row.shape, reader)?;
            lines.push(view.line(row, &mut shared)?);
            Some(())
        })?;
        Some(lines)
    }

    proptest! {
        #[test]
        fn lines_are_read_as_they_were_written(lines in prop::collection::vec(line(), 1..40)) {
            let mut block = OpenBlock::default();
            let mut names = EventNames::default();
            lines.iter().zip(1..).for_each(|(line, number)| block.append(number, line, &mut names));
            prop_assert_eq!(lines_of(&block.view()), Some(lines.clone()));
            let block = block.pack();
            let bytes = block.inflate().unwrap();
            prop_assert_eq!(lines_of(&View::read(&bytes).unwrap()), Some(lines));
        }

        #[test]
        fn damage_is_no_panic(
            lines in prop::collection::vec(line(), 1..20),
            place: prop::sample::Index,
            byte: u8,
        ) {
            let mut block = OpenBlock::default();
            let mut names = EventNames::default();
            lines.iter().zip(1..).for_each(|(line, number)| block.append(number, line, &mut names));
            let mut bytes = block.pack().inflate().unwrap();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Some(view) = View::read(&bytes) {
                let _ = lines_of(&view);
            }
            if let Some(view) = View::read(&bytes[..place]) {
                let _ = lines_of(&view);
            }
        }
    }
}
