//! Compact encoding of the spans of a block.
//!
//! The spans of a trace follow its id. Most parents are among them and are encoded as positions.

use std::collections::HashMap;
use std::sync::Arc;

use super::ids::{SpanId, TraceId};
use super::span::{Attributes, Link, Span, SpanEvent, SpanKind};
use crate::store::packed::{
    FieldShape, Reader, Shared, Strings, put_shape, put_signed, put_varint, read_shape, read_value,
    write_shape,
};

/// Encoding of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Parent {
    None,
    /// Position among the spans of the trace in this block.
    Near,
    /// Id of a span outside this block.
    Far,
}

/// Shape of spans: everything that spans of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SpanShape {
    pub(super) name: u32,
    pub(super) kind: SpanKind,
    pub(super) failed: bool,
    pub(super) parent: Parent,
    service: u32,
    pub(super) instance: u32,
    links: u32,
    events: u32,
    pub(super) fields: FieldShape,
}

#[derive(Default)]
struct Encoder {
    strings: Strings,
    indexes: HashMap<SpanShape, u32>,
    shapes: Vec<SpanShape>,
}

/// Encodes spans, sorted by trace.
pub(super) fn encode(spans: &[Span]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let (mut body, mut group) = (Vec::new(), Vec::new());
    let mut last_start = 0;
    for of_trace in spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
        let start = of_trace[0].start_ns;
        group.clear();
        encoder.group(of_trace, start, &mut group);
        body.extend_from_slice(&of_trace[0].trace_id.0);
        put_signed(&mut body, start.wrapping_sub(last_start) as i64);
        put_varint(&mut body, group.len() as u64);
        body.extend_from_slice(&group);
        last_start = start;
    }
    let mut out = Vec::with_capacity(body.len() + 16_384);
    encoder.strings.write(&mut out);
    put_varint(&mut out, encoder.shapes.len() as u64);
    for shape in &encoder.shapes {
        write_span_shape(shape, &mut out);
    }
    out.extend_from_slice(&body);
    out
}

fn write_span_shape(shape: &SpanShape, out: &mut Vec<u8>) {
    put_varint(out, shape.name.into());
    out.extend_from_slice(&[shape.kind as u8, shape.failed.into(), shape.parent as u8]);
    for number in [shape.service, shape.instance, shape.links, shape.events] {
        put_varint(out, number.into());
    }
    put_shape(out, &shape.fields);
}

fn read_span_shape(reader: &mut Reader<'_>) -> Option<SpanShape> {
    let number = |reader: &mut Reader<'_>| u32::try_from(reader.varint()?).ok();
    Some(SpanShape {
        name: number(reader)?,
        kind: *SpanKind::ALL.get(usize::from(reader.byte()?))?,
        failed: reader.byte()? != 0,
        parent: *[Parent::None, Parent::Near, Parent::Far].get(usize::from(reader.byte()?))?,
        service: number(reader)?,
        instance: number(reader)?,
        links: number(reader)?,
        events: number(reader)?,
        fields: read_shape(reader)?,
    })
}

impl Encoder {
    fn group(&mut self, spans: &[Span], start: u64, out: &mut Vec<u8>) {
        let mut positions = HashMap::new();
        for (position, span) in spans.iter().enumerate() {
            positions.entry(span.span_id).or_insert(position as u64);
        }
        let mut values = Vec::new();
        for span in spans {
            values.clear();
            let near = span.parent.and_then(|parent| positions.get(&parent));
            let parent = match (span.parent, near) {
                (None, _) => Parent::None,
                (_, Some(_)) => Parent::Near,
                _ => Parent::Far,
            };
            let shape = SpanShape {
                name: self.strings.intern(&span.name),
                kind: span.kind,
                failed: span.failed,
                parent,
                service: self.strings.intern(&span.service),
                instance: self.strings.intern(&span.instance),
                links: span.links.len() as u32,
                events: span.events.len() as u32,
                fields: write_shape(&span.attributes, &mut self.strings, &mut values),
            };
            put_varint(out, self.index(shape).into());
            out.extend_from_slice(&span.span_id.0);
            match (span.parent, near) {
                (_, Some(position)) => put_varint(out, *position),
                (Some(id), None) => out.extend_from_slice(&id.0),
                (None, None) => {}
            }
            put_signed(out, span.start_ns.wrapping_sub(start) as i64);
            put_varint(out, span.duration_ns());
            out.extend_from_slice(&values);
            self.links_and_events(span, out);
        }
    }

    fn links_and_events(&mut self, span: &Span, out: &mut Vec<u8>) {
        for link in &span.links {
            out.extend_from_slice(&link.trace_id.0);
            out.extend_from_slice(&link.span_id.0);
        }
        for event in &span.events {
            let mut values = Vec::new();
            put_varint(out, self.strings.intern(&event.name).into());
            put_signed(out, event.at_ns.wrapping_sub(span.start_ns) as i64);
            let shape = write_shape(&event.attributes, &mut self.strings, &mut values);
            put_shape(out, &shape);
            out.extend_from_slice(&values);
        }
    }

    fn index(&mut self, shape: SpanShape) -> u32 {
        if let Some(index) = self.indexes.get(&shape) {
            return *index;
        }
        let index = self.shapes.len() as u32;
        self.shapes.push(shape.clone());
        self.indexes.insert(shape, index);
        index
    }
}

/// The spans of an unpacked block.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) texts: Vec<&'a str>,
    pub(super) shapes: Vec<SpanShape>,
    body: &'a [u8],
}

/// The undecoded spans of a trace in a view.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) trace_id: TraceId,
    start_ns: u64,
    body: &'a [u8],
}

/// The fixed part of a span.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) shape: usize,
    span_id: SpanId,
    near: Option<u64>,
    far: Option<SpanId>,
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
}

impl<'a> View<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let texts = Strings::read(&mut reader)?;
        let count = reader.count()?;
        let shapes = (0..count).map(|_| read_span_shape(&mut reader)).collect::<Option<_>>()?;
        Some(Self { texts, shapes, body: reader.rest() })
    }

    /// Returns the spans of each trace. Stops at damage.
    pub(super) fn groups(&self) -> impl Iterator<Item = Group<'a>> {
        let mut reader = Reader::new(self.body);
        let mut start_ns = 0_u64;
        std::iter::from_fn(move || {
            let trace_id = TraceId(*reader.array()?);
            start_ns = start_ns.wrapping_add(reader.signed()? as u64);
            Some(Group { trace_id, start_ns, body: reader.bytes()? })
        })
    }

    /// Passes the spans of a trace to `each`, which must read their values. Returns `None` if the block is
    /// damaged.
    pub(super) fn heads(
        &self,
        group: &Group<'a>,
        mut each: impl FnMut(Head, &mut Reader<'a>) -> Option<()>,
    ) -> Option<()> {
        let mut reader = Reader::new(group.body);
        while !reader.rest().is_empty() {
            let shape = usize::try_from(reader.varint()?).ok()?;
            let span_id = SpanId(*reader.array()?);
            let parent = self.shapes.get(shape)?.parent;
            let near = if parent == Parent::Near { Some(reader.varint()?) } else { None };
            let far = if parent == Parent::Far { Some(SpanId(*reader.array()?)) } else { None };
            let start_ns = group.start_ns.wrapping_add(reader.signed()? as u64);
            let head = Head { shape, span_id, near, far, start_ns, duration_ns: reader.varint()? };
            each(head, &mut reader)?;
        }
        Some(())
    }

    /// Skips the values of a span.
    pub(super) fn skip_values(&self, shape: usize, reader: &mut Reader<'_>) -> Option<()> {
        self.shapes.get(shape)?.fields.iter().try_for_each(|(_, form)| read_value(*form, reader).map(drop))
    }

    /// Skips the fields after the values of a span.
    pub(super) fn skip_rest(&self, shape: usize, reader: &mut Reader<'_>) -> Option<()> {
        let shape = self.shapes.get(shape)?;
        reader.take((shape.links as usize).checked_mul(24)?)?;
        for _ in 0..shape.events {
            reader.varint()?;
            reader.signed()?;
            let fields = read_shape(reader)?;
            fields.iter().try_for_each(|(_, form)| read_value(*form, reader).map(drop))?;
        }
        Some(())
    }

    /// Decodes the spans of a trace.
    pub(super) fn spans(&self, group: &Group<'a>, shared: &mut Shared) -> Option<Vec<Span>> {
        let mut spans = Vec::new();
        let mut near = Vec::new();
        self.heads(group, |head, reader| {
            near.push(head.near);
            spans.push(self.span(group.trace_id, head, reader, shared)?);
            Some(())
        })?;
        let ids: Vec<SpanId> = spans.iter().map(|span: &Span| span.span_id).collect();
        for (span, position) in spans.iter_mut().zip(near) {
            if let Some(position) = position {
                span.parent = Some(*ids.get(usize::try_from(position).ok()?)?);
            }
        }
        Some(spans)
    }

    fn span(
        &self,
        trace_id: TraceId,
        head: Head,
        reader: &mut Reader<'a>,
        shared: &mut Shared,
    ) -> Option<Span> {
        let shape = self.shapes.get(head.shape)?;
        let attributes = self.attributes(&shape.fields, reader, shared)?;
        let link = |reader: &mut Reader<'_>| {
            Some(Link { trace_id: TraceId(*reader.array()?), span_id: SpanId(*reader.array()?) })
        };
        let links = (0..shape.links).map(|_| link(reader)).collect::<Option<_>>()?;
        let mut events = Vec::new();
        for _ in 0..shape.events {
            let name = self.text(u32::try_from(reader.varint()?).ok()?, shared)?;
            let at_ns = head.start_ns.wrapping_add(reader.signed()? as u64);
            let fields = read_shape(reader)?;
            events.push(SpanEvent { at_ns, name, attributes: self.attributes(&fields, reader, shared)? });
        }
        Some(Span {
            trace_id,
            span_id: head.span_id,
            parent: head.far,
            name: self.text(shape.name, shared)?,
            kind: shape.kind,
            start_ns: head.start_ns,
            end_ns: head.start_ns.saturating_add(head.duration_ns),
            failed: shape.failed,
            attributes,
            links,
            events,
            service: self.text(shape.service, shared)?,
            instance: self.text(shape.instance, shared)?,
        })
    }

    fn attributes(
        &self,
        fields: &FieldShape,
        reader: &mut Reader<'a>,
        shared: &mut Shared,
    ) -> Option<Attributes> {
        let attribute = |(name, form): &(u32, _)| {
            let value = read_value(*form, reader)?.to_value(&self.texts, shared)?;
            Some((shared.get(&self.texts, *name)?, value))
        };
        fields.iter().map(attribute).collect()
    }

    fn text(&self, index: u32, shared: &mut Shared) -> Option<Arc<str>> {
        shared.get(&self.texts, index)
    }
}
