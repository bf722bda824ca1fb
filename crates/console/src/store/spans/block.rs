//! Packed blocks of spans.

use std::collections::HashMap;
use std::ops::Range;

use super::encode::encode;
use super::ids::TraceId;
use super::segments::Place;
use super::span::{Span, SpanKind};
use crate::store::packed::{Reader, deflate, inflate, put_bytes, put_varint};

/// Times, kinds and traces of a block, with which a search can skip it. It is kept in memory even if the
/// block is only on disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) spans: u32,
    /// Unix nanoseconds of the oldest and the newest start.
    pub(super) oldest_ns: u64,
    pub(super) newest_ns: u64,
    pub(super) longest_ns: u64,
    /// One bit per kind that occurs.
    pub(super) kinds: u8,
    pub(super) has_failed: bool,
    /// Hashes of the traces of the spans, sorted.
    traces: Box<[u32]>,
    /// Hashes of the traces that the spans link to, sorted.
    links: Box<[u32]>,
}

impl Summary {
    fn of(spans: &[Span]) -> Self {
        let starts = || spans.iter().map(|span| span.start_ns);
        Self {
            spans: spans.len() as u32,
            oldest_ns: starts().min().unwrap_or(0),
            newest_ns: starts().max().unwrap_or(0),
            longest_ns: spans.iter().map(Span::duration_ns).max().unwrap_or(0),
            kinds: spans.iter().fold(0, |kinds, span| kinds | bit(span.kind)),
            has_failed: spans.iter().any(|span| span.failed),
            traces: sorted(spans.iter().map(|span| span.trace_id)),
            links: sorted(spans.iter().flat_map(|span| &span.links).map(|link| link.trace_id)),
        }
    }

    pub(super) fn has_kind(&self, kind: SpanKind) -> bool {
        self.kinds & bit(kind) != 0
    }

    /// Returns whether the block may have spans of a trace. Other traces may have the same hash.
    pub(super) fn may_have(&self, id: TraceId) -> bool {
        self.traces.binary_search(&hash(id)).is_ok()
    }

    /// Returns whether the block may have spans that link to a trace.
    pub(super) fn may_link_to(&self, id: TraceId) -> bool {
        self.links.binary_search(&hash(id)).is_ok()
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.spans.into());
        put_varint(out, self.oldest_ns);
        put_varint(out, self.newest_ns);
        put_varint(out, self.longest_ns);
        out.extend_from_slice(&[self.kinds, self.has_failed.into()]);
        for hashes in [&self.traces, &self.links] {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
            put_bytes(out, &bytes);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            spans: u32::try_from(reader.varint()?).ok()?,
            oldest_ns: reader.varint()?,
            newest_ns: reader.varint()?,
            longest_ns: reader.varint()?,
            kinds: reader.byte()?,
            has_failed: reader.byte()? != 0,
            traces: read_hashes(reader)?,
            links: read_hashes(reader)?,
        })
    }
}

fn bit(kind: SpanKind) -> u8 {
    1 << kind as u8
}

/// Trace ids are random, so any four bytes serve as a hash. In some formats the first bytes are the time.
fn hash(id: TraceId) -> u32 {
    let [.., a, b, c, d] = id.0;
    u32::from_le_bytes([a, b, c, d])
}

fn sorted(ids: impl Iterator<Item = TraceId>) -> Box<[u32]> {
    let mut hashes: Vec<u32> = ids.map(hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into()
}

fn read_hashes(reader: &mut Reader<'_>) -> Option<Box<[u32]>> {
    let bytes = reader.bytes()?.chunks_exact(4);
    Some(bytes.map(|hash| u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])).collect())
}

/// A packed block, in memory or on disk or both.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) summary: Summary,
    length: usize,
    packed: Option<Box<[u8]>>,
    pub(super) place: Option<Place>,
}

impl Block {
    /// Packs spans in any order.
    pub(super) fn pack(mut spans: Vec<Span>) -> Self {
        let mut order = HashMap::new();
        for span in &spans {
            let next = order.len();
            order.entry(span.trace_id).or_insert(next);
        }
        spans.sort_by_key(|span| (order[&span.trace_id], span.start_ns));
        let bytes = encode(&spans);
        let summary = Summary::of(&spans);
        Self { summary, length: bytes.len(), packed: Some(deflate(&bytes)), place: None }
    }

    /// Returns the bytes of memory used.
    pub(super) fn bytes(&self) -> usize {
        let hashes = self.summary.traces.len() + self.summary.links.len();
        let packed = self.packed.as_ref().map_or(0, |packed| packed.len());
        size_of::<Self>() + 4 * hashes + packed
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.packed.is_some()
    }

    /// Drops the block from memory; it stays on disk.
    pub(super) fn forget(&mut self) {
        self.packed = None;
    }

    /// Returns the block as bytes for the disk; `None` if it is on disk already.
    pub(super) fn content(&self) -> Option<Vec<u8>> {
        let packed = self.packed.as_ref()?;
        let mut content = Vec::with_capacity(packed.len() + 1024);
        self.summary.write(&mut content);
        put_varint(&mut content, self.length as u64);
        content.extend_from_slice(packed);
        Some(content)
    }

    /// Reads a block from disk.
    pub(super) fn from_content(content: &[u8], place: Option<Place>) -> Option<Self> {
        let (summary, length, packed) = parse(content)?;
        Some(Self { summary, length, packed: Some(content[packed].into()), place })
    }

    /// Returns the encoded spans of a block in memory.
    pub(super) fn inflate(&self) -> Option<Vec<u8>> {
        inflate(self.packed.as_ref()?, self.length)
    }

    /// Returns the encoded spans of a block from disk.
    pub(super) fn inflate_content(content: &[u8]) -> Option<Vec<u8>> {
        let (_, length, packed) = parse(content)?;
        inflate(&content[packed], length)
    }
}

/// Maximum length of the encoded spans of a block. It prevents a large allocation for a damaged length.
const LONGEST: usize = 64 << 20;

fn parse(content: &[u8]) -> Option<(Summary, usize, Range<usize>)> {
    let mut reader = Reader::new(content);
    let summary = Summary::read(&mut reader)?;
    let length = usize::try_from(reader.varint()?).ok().filter(|length| *length <= LONGEST)?;
    let start = content.len() - reader.rest().len();
    Some((summary, length, start..content.len()))
}
