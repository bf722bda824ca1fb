//! Queue of encoded batches, with exact accounting of every item sent or dropped.
//!
//! Every change of a batch's state goes through this file, so that the sum of
//! [`SenderCounts`](super::SenderCounts) is always right.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};
use signal::builtin::{DropReason, Signal};

use super::settings::MAXIMUM_REQUEST_BYTES;
use super::{ExportFailure, SenderStatistics};

/// Minimum size of requests that are compressed while they wait. Spans of one program are so
/// similar that five or more fit into the space of one. So a collector may be away for longer, or
/// less memory is needed.
const PACKED_FROM: usize = 16 << 10;

/// One encoded export request.
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// Length of the uncompressed body, if the body is compressed.
    unpacked: Option<usize>,
    /// Bytes counted against the queue's limit: the size of the body while queued.
    bytes: u64,
    items: u64,
    collection: u64,
    /// Number of attempts in which a reachable collector did not accept it.
    pub(super) attempts: u32,
}

pub(super) struct BatchQueue {
    waiting: VecDeque<Batch>,
    signal: Signal,
    limit_bytes: u64,
    collection: u64,
    /// True if the last request came back, so that new batches have to wait.
    is_held_up: bool,
    statistics: Arc<SenderStatistics>,
    packer: Packer,
}

/// Compresses batches. It keeps its working memory, which is larger than its output.
#[derive(Default)]
struct Packer {
    deflate: Option<Compress>,
    packed: Vec<u8>,
}

impl Packer {
    /// Compresses a body, or returns `None` if that does not make it smaller. The fastest level is
    /// good enough.
    fn pack(&mut self, body: &[u8]) -> Option<Bytes> {
        if body.len() < PACKED_FROM {
            return None;
        }
        let deflate = self.deflate.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        deflate.reset();
        self.packed.clear();
        self.packed.reserve(body.len());
        // Compression stops early if the output has no room left; at the latest when it is much
        // larger than the body.
        let status = deflate.compress_vec(body, &mut self.packed, FlushCompress::Finish);
        let is_smaller = matches!(status, Ok(flate2::Status::StreamEnd)) && self.packed.len() < body.len();
        is_smaller.then(|| Bytes::copy_from_slice(&self.packed))
    }
}

impl Batch {
    /// Decompresses the body for sending. The batch still counts with its compressed size; only one
    /// batch at a time is in this state.
    fn unpack(&mut self) {
        if let Some(length) = self.unpacked.take() {
            let mut decoder = DeflateDecoder::new(Vec::with_capacity(length));
            let unpacked = decoder.write_all(&self.body).and_then(|()| decoder.finish());
            self.body = unpacked.expect("what was packed can be unpacked").into();
        }
    }
}

impl BatchQueue {
    pub(super) fn new(signal: Signal, limit_bytes: usize, statistics: Arc<SenderStatistics>) -> Self {
        Self {
            waiting: VecDeque::new(),
            signal,
            limit_bytes: limit_bytes as u64,
            collection: 0,
            is_held_up: false,
            statistics,
            packer: Packer::default(),
        }
    }

    /// Begins a new collection. For metrics, the batches pushed from now on replace older ones.
    pub(super) fn begin_collection(&mut self) {
        self.collection += 1;
    }

    /// Appends a batch. The oldest batches are dropped to make room, because after an outage an
    /// operator looks for the newest.
    ///
    /// If the body is queued uncompressed, its buffer is moved out; if it is compressed, the buffer
    /// stays for the next one.
    pub(super) fn push(&mut self, body: &mut Vec<u8>, items: u64) {
        if self.signal == Signal::Metrics {
            let newest = self.collection;
            while let Some(older) = self.waiting.pop_front_if(|older| older.collection < newest) {
                self.discard(older, DropReason::Superseded);
            }
        }
        let batch = if body.len() > MAXIMUM_REQUEST_BYTES {
            Err(DropReason::TooLarge)
        } else {
            let batch = self.batch(body, items);
            if self.make_room(batch.bytes) { Ok(batch) } else { Err(DropReason::QueueFull) }
        };
        let mut counts = self.statistics.lock();
        counts.taken_items += items;
        match batch {
            Ok(batch) => {
                counts.pending_items += items;
                counts.pending_bytes += batch.bytes;
                self.waiting.push_back(batch);
            }
            Err(reason) => counts.add_dropped(reason, items),
        }
    }

    /// Builds a batch for the queue. The body is compressed if batches are held up or the queue is
    /// more than half full.
    fn batch(&mut self, body: &mut Vec<u8>, items: u64) -> Batch {
        let length = body.len();
        let has_many = self.statistics.lock().pending_bytes + length as u64 > self.limit_bytes / 2;
        let packed = if has_many || self.is_held_up { self.packer.pack(body) } else { None };
        let (body, unpacked) = match packed {
            Some(packed) => (packed, Some(length)),
            // The limit counts lengths, so spare capacity would be memory beyond it.
            None => (std::mem::take(body).into_boxed_slice().into(), None),
        };
        let bytes = body.len() as u64;
        Batch { body, unpacked, bytes, items, collection: self.collection, attempts: 0 }
    }

    /// Drops the oldest batches until `bytes` fit. Returns `false` if they do not, because a batch
    /// in flight takes the space.
    fn make_room(&mut self, bytes: u64) -> bool {
        while self.statistics.lock().pending_bytes + bytes > self.limit_bytes {
            let Some(oldest) = self.waiting.pop_front() else { return false };
            self.discard(oldest, DropReason::QueueFull);
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the oldest batch. It stays pending until one of the three methods below takes it
    /// back.
    pub(super) fn take_oldest(&mut self) -> Option<Batch> {
        let mut oldest = self.waiting.pop_front()?;
        oldest.unpack();
        Some(oldest)
    }

    /// Records that the collector accepted the batch, except for `rejected_items`. Returns that
    /// number, limited to the batch's size.
    pub(super) fn delivered(&mut self, batch: Batch, rejected_items: u64) -> u64 {
        self.is_held_up = false;
        let rejected = rejected_items.min(batch.items);
        let mut counts = self.statistics.lock();
        counts.pending_items -= batch.items;
        counts.pending_bytes -= batch.bytes;
        counts.sent_items += batch.items - rejected;
        counts.add_dropped(DropReason::Rejected, rejected);
        if rejected == 0 {
            counts.succeeded_requests += 1;
        } else {
            counts.add_failure(ExportFailure::PartlyRejected);
        }
        rejected
    }

    /// Puts a batch back at the front of the queue, to be retried first.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.is_held_up = true;
        let superseded = self.signal == Signal::Metrics
            && self.waiting.front().is_some_and(|newer| newer.collection > batch.collection);
        if superseded {
            self.discard(batch, DropReason::Superseded);
        } else {
            self.waiting.push_front(batch);
        }
    }

    /// Drops a batch for the given reason.
    pub(super) fn discard(&mut self, batch: Batch, reason: DropReason) {
        let mut counts = self.statistics.lock();
        counts.pending_items -= batch.items;
        counts.pending_bytes -= batch.bytes;
        counts.add_dropped(reason, batch.items);
    }

    /// Drops every queued batch for the given reason.
    pub(super) fn discard_all(&mut self, reason: DropReason) {
        while let Some(batch) = self.waiting.pop_front() {
            self.discard(batch, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::otlp::SenderCounts;

    const LIMIT: usize = 1_000;

    fn queue(signal: Signal) -> (BatchQueue, Arc<SenderStatistics>) {
        let statistics = Arc::new(SenderStatistics::default());
        (BatchQueue::new(signal, LIMIT, Arc::clone(&statistics)), statistics)
    }

    fn body(bytes: usize) -> Vec<u8> {
        vec![0; bytes]
    }

    fn assert_sum(counts: &SenderCounts) {
        assert_eq!(
            counts.taken_items,
            counts.sent_items + counts.dropped_items() + counts.pending_items,
            "{counts:?}"
        );
    }

    #[test]
    fn the_oldest_make_room() {
        let (mut queue, statistics) = queue(Signal::Traces);
        for items in 1..=4 {
            queue.push(&mut body(400), items);
        }
        let counts = statistics.counts();
        assert_eq!(counts.dropped_items_by(DropReason::QueueFull), 1 + 2);
        assert_eq!((counts.pending_items, counts.pending_bytes), (3 + 4, 800));
        assert_eq!(queue.take_oldest().map(|batch| batch.items), Some(3));
    }

    #[test]
    fn a_batch_under_way_counts_against_the_limit() {
        let (mut queue, statistics) = queue(Signal::Traces);
        queue.push(&mut body(700), 1);
        let under_way = queue.take_oldest().unwrap();
        queue.push(&mut body(400), 10);
        assert_eq!(statistics.counts().dropped_items_by(DropReason::QueueFull), 10);
        queue.delivered(under_way, 0);
        queue.push(&mut body(400), 100);
        let counts = statistics.counts();
        assert_eq!((counts.sent_items, counts.pending_items, counts.succeeded_requests), (1, 100, 1));
    }

    #[test]
    fn when_many_wait_they_are_packed_and_sent_as_they_were() {
        // Like spans: much of the content repeats, and some does not.
        let request = |number: u64| -> Vec<u8> {
            (0..4_000).flat_map(|piece| (number * 7_919 + piece).to_le_bytes()).collect()
        };
        let size = request(0).len();
        let statistics = Arc::new(SenderStatistics::default());
        let mut queue = BatchQueue::new(Signal::Traces, 4 * size, Arc::clone(&statistics));
        for number in 0..6 {
            queue.push(&mut request(number), 1);
        }
        let counts = statistics.counts();
        assert_eq!(
            (counts.pending_items, counts.dropped_items()),
            (6, 0),
            "four of them had room as they were"
        );
        for number in 0..6 {
            let mut batch = queue.take_oldest().expect("it waits");
            if number == 4 {
                queue.put_back(batch);
                batch = queue.take_oldest().expect("it waits again");
            }
            assert_eq!(batch.body, request(number));
            queue.delivered(batch, 0);
        }
        let counts = statistics.counts();
        assert_eq!((counts.sent_items, counts.pending_bytes), (6, 0));
    }

    #[test]
    fn what_is_added_is_packed_from_a_failure_on_until_a_batch_is_delivered() {
        let statistics = Arc::new(SenderStatistics::default());
        let mut queue = BatchQueue::new(Signal::Traces, 100 * PACKED_FROM, Arc::clone(&statistics));
        let pending = || statistics.counts().pending_bytes as usize;
        queue.push(&mut body(PACKED_FROM), 1);
        let under_way = queue.take_oldest().expect("it waits");
        queue.put_back(under_way);
        queue.push(&mut body(PACKED_FROM), 1);
        assert!((PACKED_FROM..PACKED_FROM + PACKED_FROM / 10).contains(&pending()), "{}", pending());
        for _ in 0..2 {
            let batch = queue.take_oldest().expect("it waits");
            assert_eq!(batch.body, body(PACKED_FROM));
            queue.delivered(batch, 0);
        }
        queue.push(&mut body(PACKED_FROM), 1);
        assert_eq!(pending(), PACKED_FROM, "as it is");
    }

    #[test]
    fn a_batch_that_no_collector_accepts_is_dropped_at_once() {
        let statistics = Arc::new(SenderStatistics::default());
        let mut queue = BatchQueue::new(Signal::Traces, 8 * MAXIMUM_REQUEST_BYTES, Arc::clone(&statistics));
        queue.push(&mut body(MAXIMUM_REQUEST_BYTES), 1);
        queue.push(&mut body(MAXIMUM_REQUEST_BYTES + 1), 5);
        let counts = statistics.counts();
        assert_eq!((counts.pending_items, counts.dropped_items_by(DropReason::TooLarge)), (1, 5));
    }

    #[test]
    fn only_the_newest_collection_of_metrics_waits() {
        let (mut queue, statistics) = queue(Signal::Metrics);
        queue.begin_collection();
        queue.push(&mut body(10), 1);
        queue.push(&mut body(10), 2);
        let under_way = queue.take_oldest().unwrap();
        queue.begin_collection();
        queue.push(&mut body(10), 4);
        assert_eq!(statistics.counts().dropped_items_by(DropReason::Superseded), 2);
        queue.put_back(under_way);
        let counts = statistics.counts();
        assert_eq!(counts.dropped_items_by(DropReason::Superseded), 2 + 1);
        assert_eq!(counts.pending_items, 4);
    }

    #[test]
    fn a_collector_cannot_refuse_more_than_it_was_sent() {
        let (mut queue, statistics) = queue(Signal::Traces);
        queue.push(&mut body(10), 3);
        let batch = queue.take_oldest().unwrap();
        assert_eq!(queue.delivered(batch, u64::MAX), 3);
        let counts = statistics.counts();
        assert_eq!((counts.sent_items, counts.dropped_items_by(DropReason::Rejected)), (0, 3));
        assert_eq!(counts.failed_requests_by(ExportFailure::PartlyRejected), 1);
    }

    proptest! {
        #[test]
        fn every_item_is_sent_dropped_or_pending(
            is_metrics: bool,
            steps in proptest::collection::vec((0..6_u8, 0..600_usize, 0..50_u64), 1..80),
        ) {
            let (mut queue, statistics) = queue(if is_metrics { Signal::Metrics } else { Signal::Traces });
            let mut under_way: Option<Batch> = None;
            for (step, bytes, items) in steps {
                match (step, under_way.take()) {
                    (0, batch) => { queue.begin_collection(); under_way = batch; }
                    (1, batch) => { queue.push(&mut body(bytes), items); under_way = batch; }
                    (2, None) => under_way = queue.take_oldest(),
                    (3, Some(batch)) => { queue.delivered(batch, items); }
                    (4, Some(batch)) => queue.put_back(batch),
                    (5, Some(batch)) => queue.discard(batch, DropReason::Rejected),
                    (_, batch) => under_way = batch,
                }
                let counts = statistics.counts();
                assert_sum(&counts);
                prop_assert!(counts.pending_bytes <= LIMIT as u64);
            }
            if let Some(batch) = under_way {
                queue.put_back(batch);
            }
            queue.discard_all(DropReason::Shutdown);
            let counts = statistics.counts();
            assert_sum(&counts);
            prop_assert_eq!((counts.pending_items, counts.pending_bytes), (0, 0));
        }
    }
}
