//! The store of spans.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::ids::TraceId;
use super::search::{SpanSearch, TraceSummary, summarize};
use super::span::Span;
use super::translate::translate;
use super::usage::{SpanLosses, SpanUsage};

/// Result of an append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Number of spans that are kept.
    pub accepted: u64,
    /// Number of spans refused because their trace's or their own id is missing.
    pub refused: u64,
}

/// Spans in memory and on disk, within bounds.
#[derive(Debug)]
pub struct SpanStore {
    spans: Vec<Span>,
    losses: SpanLosses,
}

impl Default for SpanStore {
    fn default() -> Self {
        Self::in_memory()
    }
}

impl SpanStore {
    /// Bytes of memory that spans may use.
    pub const BOUND: usize = 32 << 20;
    /// Bytes on disk that spans may use.
    pub const DISK_BOUND: u64 = 64 << 20;

    /// Creates an empty store that keeps nothing on disk.
    pub fn in_memory() -> Self {
        Self { spans: Vec::new(), losses: SpanLosses::default() }
    }

    /// Opens the store in a directory, which is created if it is missing. Damaged and unknown files
    /// are set aside and reported by [`SpanStore::usage`].
    pub fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self::in_memory())
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
        self.spans.extend(spans);
    }

    /// Writes to disk what is not yet there. Call it at least every 15 seconds, and at exit.
    pub fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Returns all spans of a trace in the order of their starts.
    pub fn trace(&self, id: TraceId) -> Vec<Span> {
        let mut spans: Vec<Span> = self.spans.iter().filter(|span| span.trace_id == id).cloned().collect();
        spans.sort_by_key(|span| (span.start_ns, std::cmp::Reverse(span.end_ns)));
        spans
    }

    /// Returns the spans of other traces that link to a trace, such as the jobs that a request
    /// enqueued, in the order of their starts.
    pub fn linked_from(&self, id: TraceId) -> Vec<Span> {
        let links = |span: &&Span| span.links.iter().any(|link| link.trace_id == id);
        let mut spans: Vec<Span> = self.spans.iter().filter(links).cloned().collect();
        spans.sort_by_key(|span| span.start_ns);
        spans
    }

    /// Returns the newest traces that fulfil a search, newest first.
    pub fn search(&self, search: &SpanSearch) -> Vec<TraceSummary> {
        let found = self.spans.iter().filter(|span| search.accepts(span));
        let traces: HashSet<TraceId> = found.map(|span| span.trace_id).collect();
        let summaries = traces.into_iter().filter_map(|id| summarize(&self.trace(id), search));
        let mut summaries: Vec<TraceSummary> =
            summaries.filter(|found| search.before.is_none_or(|before| found.position < before)).collect();
        summaries.sort_unstable_by_key(|summary| std::cmp::Reverse(summary.position));
        summaries.truncate(search.most);
        summaries
    }

    /// Returns the Unix time in nanoseconds since which the store has spans.
    pub fn oldest(&self) -> Option<u64> {
        self.spans.iter().map(|span| span.start_ns).min()
    }

    /// Returns what the store holds and what it refused.
    pub fn usage(&self) -> SpanUsage {
        SpanUsage {
            spans: self.spans.len() as u64,
            bound: Self::BOUND,
            oldest_ns: self.oldest(),
            losses: self.losses,
            ..SpanUsage::default()
        }
    }
}
