//! The store of spans.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::block::Block;
use super::encode::{View, encode};
use super::ids::TraceId;
use super::scan::{Scan, Starts};
use super::search::{SpanSearch, TraceSummary, summarize};
use super::segments::Segments;
use super::span::{Attributes, Span};
use super::translate::translate;
use super::usage::{SpanLosses, SpanUsage};
use crate::store::packed::Shared;

/// Number of spans at which a block is packed.
const BLOCK: usize = 2048;
/// Approximate size of spans at which a block is packed, in bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// Maximum number of cached inflated blocks during a search.
const MOST_INFLATED: usize = 64;

/// Result of an append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Number of stored spans.
    pub accepted: u64,
    /// Number of spans refused because of a missing id.
    pub refused: u64,
}

/// Spans in packed blocks, in memory and on disk, within bounds.
#[derive(Debug)]
pub struct SpanStore {
    /// Blocks in the order of arrival.
    blocks: VecDeque<Block>,
    /// Number of blocks at the end that are not yet on disk.
    unwritten: usize,
    open: Vec<Span>,
    open_bytes: usize,
    /// Number of spans at the start of `open` that are in the journal.
    in_journal: usize,
    bytes: usize,
    bound: usize,
    disk: Option<Segments>,
    disk_error: Option<String>,
    evicted: u64,
    losses: SpanLosses,
}

impl Default for SpanStore {
    fn default() -> Self {
        Self::in_memory()
    }
}

impl SpanStore {
    /// Maximum memory in bytes.
    pub const BOUND: usize = 32 << 20;
    /// Maximum size on disk in bytes.
    pub const DISK_BOUND: u64 = 64 << 20;

    /// Creates an empty store that keeps nothing on disk.
    pub fn in_memory() -> Self {
        Self::bounded(Self::BOUND)
    }

    fn bounded(bound: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            unwritten: 0,
            open: Vec::new(),
            open_bytes: 0,
            in_journal: 0,
            bytes: 0,
            bound,
            disk: None,
            disk_error: None,
            evicted: 0,
            losses: SpanLosses::default(),
        }
    }

    /// Opens the store in a directory; creates it if it is missing. Damaged and unknown files are set aside
    /// and reported by [`SpanStore::usage`].
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::open_bounded(directory, Self::BOUND, Self::DISK_BOUND)
    }

    pub(super) fn open_bounded(directory: &Path, bound: usize, disk_bound: u64) -> io::Result<Self> {
        let mut store = Self::bounded(bound);
        let disk = Segments::open(directory, disk_bound, |content, place| match place {
            None => store.restore_from_journal(content).is_some(),
            Some(_) => match Block::from_content(content, place) {
                Some(mut block) => {
                    if store.bytes + block.bytes() > bound {
                        block.forget();
                    }
                    store.bytes += block.bytes();
                    store.blocks.push_back(block);
                    true
                }
                None => false,
            },
        })?;
        store.blocks.make_contiguous().sort_by_key(|block| block.place.map(|place| place.order()));
        store.in_journal = store.open.len();
        store.disk = Some(disk);
        store.make_room();
        Ok(store)
    }

    fn restore_from_journal(&mut self, content: &[u8]) -> Option<()> {
        let bytes = Block::inflate_content(content)?;
        let view = View::read(&bytes)?;
        let mut shared = Shared::default();
        for group in view.groups() {
            let spans = view.spans(&group, &mut shared)?;
            self.open_bytes += spans.iter().map(size_of_span).sum::<usize>();
            self.open.extend(spans);
        }
        Some(())
    }

    /// Adds the spans of an export request.
    pub fn append(&mut self, received: Vec<ResourceSpans>) -> Appended {
        let translated = translate(received);
        self.losses.add(translated.losses);
        let refused = translated.losses.without_id;
        let accepted = translated.spans.len() as u64;
        self.append_spans(translated.spans);
        Appended { accepted, refused }
    }

    /// Adds spans.
    pub fn append_spans(&mut self, spans: impl IntoIterator<Item = Span>) {
        for span in spans {
            self.open_bytes += size_of_span(&span);
            self.open.push(span);
            if self.open.len() >= BLOCK || self.open_bytes >= BLOCK_BYTES {
                self.pack();
            }
        }
    }

    fn pack(&mut self) {
        let block = Block::pack(std::mem::take(&mut self.open));
        self.open_bytes = 0;
        self.bytes += block.bytes();
        self.blocks.push_back(block);
        self.unwritten += 1;
        // The journal is emptied when the block is on disk.
        self.in_journal = 0;
        self.make_room();
    }

    #[cfg(test)]
    pub(super) fn pack_now(&mut self) {
        if !self.open.is_empty() {
            self.pack();
        }
    }

    #[cfg(test)]
    pub(super) fn in_memory_bounded(bound: usize) -> Self {
        Self::bounded(bound)
    }

    /// Enforces the bounds: drops the oldest blocks from memory, or entirely if they are not on disk.
    fn make_room(&mut self) {
        while let Some(deleted) = self.disk.as_mut().and_then(Segments::delete_oldest) {
            let is_deleted = |block: &Block| block.place.is_some_and(|place| place.segment == deleted);
            for block in self.blocks.iter_mut().filter(|block| is_deleted(block)) {
                block.place = None;
            }
            let unwritten = self.blocks.len() - self.unwritten;
            let is_lost = |block: &Block| block.place.is_none() && !block.is_in_memory();
            let lost = self.blocks.iter().take(unwritten).take_while(|block| is_lost(block)).count();
            (0..lost).for_each(|_| self.drop_oldest());
        }
        let mut in_memory = 0;
        while self.bytes > self.bound {
            let found = self.blocks.iter().skip(in_memory).position(Block::is_in_memory);
            match found.map(|place| place + in_memory) {
                Some(place) if self.blocks[place].place.is_some() => {
                    let block = &mut self.blocks[place];
                    self.bytes -= block.bytes();
                    block.forget();
                    self.bytes += block.bytes();
                    in_memory = place + 1;
                }
                _ if self.blocks.is_empty() => break,
                _ => {
                    self.drop_oldest();
                    in_memory = 0;
                }
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.bytes -= block.bytes();
            self.evicted += u64::from(block.summary.spans);
            self.unwritten = self.unwritten.min(self.blocks.len());
        }
    }

    /// Writes all spans that are not yet on disk. Call it at least every 15 seconds, and at exit. After an
    /// error, the next call tries again.
    ///
    /// # Errors
    ///
    /// Returns an error of the file system, which [`SpanStore::usage`] also reports.
    pub fn flush(&mut self) -> io::Result<()> {
        let result = self.write();
        self.disk_error = result.as_ref().err().map(ToString::to_string);
        self.make_room();
        result
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(disk) = self.disk.as_mut() else { return Ok(()) };
        let first = self.blocks.len() - self.unwritten;
        for block in self.blocks.iter_mut().skip(first) {
            if let Some(content) = block.content() {
                block.place = Some(disk.append(&content)?);
            }
            self.unwritten -= 1;
        }
        if first < self.blocks.len() {
            disk.clear_journal()?;
        }
        let rest = &self.open[self.in_journal..];
        if !rest.is_empty() {
            let content = Block::pack(rest.to_vec()).content().unwrap_or_default();
            disk.append_to_journal(&content)?;
            self.in_journal = self.open.len();
        }
        Ok(())
    }

    /// Returns all spans of a trace in the order of their starts.
    pub fn trace(&self, id: TraceId) -> Vec<Span> {
        self.trace_with(id, &mut Inflated::default())
    }

    fn trace_with(&self, id: TraceId, inflated: &mut Inflated) -> Vec<Span> {
        let mut spans: Vec<Span> = self.open.iter().filter(|span| span.trace_id == id).cloned().collect();
        for (place, block) in self.blocks.iter().enumerate() {
            if block.summary.may_have(id) {
                self.read(place, block, inflated, |view| {
                    let mut shared = Shared::default();
                    for group in view.groups().filter(|group| group.trace_id == id) {
                        spans.extend(view.spans(&group, &mut shared).unwrap_or_default());
                    }
                });
            }
        }
        in_order(spans)
    }

    /// Returns the spans of other traces that link to a trace, such as the jobs that a request
    /// enqueued, in the order of their starts.
    pub fn linked_from(&self, id: TraceId) -> Vec<Span> {
        let links = |span: &Span| span.links.iter().any(|link| link.trace_id == id);
        let mut spans: Vec<Span> = self.open.iter().filter(|span| links(span)).cloned().collect();
        let mut inflated = Inflated::default();
        for (place, block) in self.blocks.iter().enumerate() {
            if block.summary.may_link_to(id) {
                self.read(place, block, &mut inflated, |view| {
                    let mut shared = Shared::default();
                    for group in view.groups() {
                        let of_trace = view.spans(&group, &mut shared).unwrap_or_default();
                        spans.extend(of_trace.into_iter().filter(|span| links(span)));
                    }
                });
            }
        }
        in_order(spans)
    }

    /// Returns the newest traces that fulfil a search, newest first.
    pub fn search(&self, search: &SpanSearch) -> Vec<TraceSummary> {
        let scan = Scan::new(search);
        let mut starts = Starts::new();
        let mut inflated = Inflated::default();
        if !self.open.is_empty() {
            let encoded = encode(&self.open);
            if let Some(view) = View::read(&encoded) {
                scan.traces(&view, &mut starts);
            }
        }
        let may_have = |block: &&(usize, &Block)| scan.may_have(&block.1.summary);
        let all: Vec<(usize, &Block)> = self.blocks.iter().enumerate().collect();
        let mut blocks: Vec<_> = all.iter().filter(may_have).collect();
        blocks.sort_by_key(|(_, block)| Reverse(block.summary.newest_ns));
        let is_before = |found: (u64, TraceId)| {
            search.before.is_none_or(|before| found < (before.start_ns, before.trace_id))
        };
        for (place, block) in blocks {
            let newest = block.summary.newest_ns;
            let is_final = |(id, start): &(&TraceId, &u64)| **start > newest && is_before((**start, **id));
            if starts.iter().filter(is_final).count() >= search.most {
                break;
            }
            self.read(*place, block, &mut inflated, |view| scan.traces(view, &mut starts));
        }
        let mut found: Vec<(u64, TraceId)> = starts.into_iter().map(|(id, start)| (start, id)).collect();
        found.sort_unstable_by_key(|found| Reverse(*found));
        let is_before = |found: &(u64, TraceId)| {
            search.before.is_none_or(|before| *found < (before.start_ns, before.trace_id))
        };
        let found = found.into_iter().filter(is_before).take(search.most);
        found.filter_map(|(_, id)| summarize(&self.trace_with(id, &mut inflated), search)).collect()
    }

    /// Reads a block. Inflates it only once per search.
    fn read(&self, place: usize, block: &Block, inflated: &mut Inflated, read: impl FnOnce(&View<'_>)) {
        if inflated.0.len() >= MOST_INFLATED && !inflated.0.contains_key(&place) {
            inflated.0.clear();
        }
        let bytes = inflated.0.entry(place).or_insert_with(|| self.inflate(block).unwrap_or_default());
        if let Some(view) = View::read(bytes) {
            read(&view);
        }
    }

    fn inflate(&self, block: &Block) -> Option<Vec<u8>> {
        if block.is_in_memory() {
            return block.inflate();
        }
        Block::inflate_content(&self.disk.as_ref()?.read(block.place?)?)
    }

    /// Returns the Unix time in nanoseconds of the oldest stored spans.
    pub fn oldest(&self) -> Option<u64> {
        let open = self.open.iter().map(|span| span.start_ns);
        self.blocks.iter().map(|block| block.summary.oldest_ns).chain(open).min()
    }

    /// Returns contents and refusals of the store.
    pub fn usage(&self) -> SpanUsage {
        let packed: u64 = self.blocks.iter().map(|block| u64::from(block.summary.spans)).sum();
        SpanUsage {
            spans: packed + self.open.len() as u64,
            bytes: self.bytes + self.open_bytes,
            bound: self.bound,
            disk_bytes: self.disk.as_ref().map_or(0, Segments::bytes),
            disk_bound: self.disk.as_ref().map_or(0, Segments::bound),
            oldest_ns: self.oldest(),
            evicted: self.evicted,
            losses: self.losses,
            set_aside: self.disk.as_ref().map(|disk| disk.set_aside().to_vec()).unwrap_or_default(),
            disk_error: self.disk_error.clone(),
        }
    }
}

/// Cache of blocks inflated during a search, by place.
#[derive(Default)]
struct Inflated(HashMap<usize, Vec<u8>>);

/// Sorts spans by their starts. An exporter that missed a response sends its spans again.
fn in_order(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start_ns, Reverse(span.end_ns), span.trace_id, span.span_id));
    spans.dedup_by_key(|span| (span.trace_id, span.span_id));
    spans
}

/// Returns the approximate size of an unpacked span in bytes.
fn size_of_span(span: &Span) -> usize {
    let texts = |attributes: &Attributes| -> usize {
        attributes.iter().map(|(name, value)| 40 + name.len() + value.text().len()).sum()
    };
    let events = span.events.iter().map(|event| 64 + event.name.len() + texts(&event.attributes));
    size_of::<Span>()
        + span.name.len()
        + texts(&span.attributes)
        + span.links.len() * 24
        + events.sum::<usize>()
}
