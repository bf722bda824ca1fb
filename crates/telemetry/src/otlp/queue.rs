//! The batches that wait for the collector, and the books about them.
//!
//! Every change of a batch's fate goes through this file, so that the sum of [`SenderCounts`](super::SenderCounts) cannot be wrong.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};

use super::settings::MAXIMUM_REQUEST_BYTES;
use super::{ExportFailure, SenderStatistics};
use crate::builtin::{DropReason, Signal};

/// Requests from this size on are packed when they have to wait. Spans of one program are so much alike that five or more take the
/// place of one, so a collector may be away for longer, or less memory is needed.
const PACKED_FROM: usize = 16 << 10;

/// One encoded export request.
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// The length of the body when it is packed.
    unpacked: Option<usize>,
    /// What it takes of the queue's limit: the size in which it waited.
    bytes: u64,
    items: u64,
    collection: u64,
    /// How often a collector that can be reached left it undone.
    pub(super) attempts: u32,
}

pub(super) struct BatchQueue {
    waiting: VecDeque<Batch>,
    signal: Signal,
    limit_bytes: u64,
    collection: u64,
    /// Whether the last request came back, so that what is added now has to wait.
    is_held_up: bool,
    statistics: Arc<SenderStatistics>,
    packer: Packer,
}

/// Makes batches small. It is kept, and so is its memory, which is more than what it makes.
#[derive(Default)]
struct Packer {
    deflate: Option<Compress>,
    packed: Vec<u8>,
}

impl Packer {
    /// The packed form of a body that becomes smaller by it. The fastest level is small enough.
    fn pack(&mut self, body: &[u8]) -> Option<Bytes> {
        if body.len() < PACKED_FROM {
            return None;
        }
        let deflate = self.deflate.get_or_insert_with(|| Compress::new(Compression::fast(), false));
        deflate.reset();
        self.packed.clear();
        self.packed.reserve(body.len());
        // It ends early where there is no room left, which is so at the latest when it has become much larger.
        let status = deflate.compress_vec(body, &mut self.packed, FlushCompress::Finish);
        let is_smaller = matches!(status, Ok(flate2::Status::StreamEnd)) && self.packed.len() < body.len();
        is_smaller.then(|| Bytes::copy_from_slice(&self.packed))
    }
}

impl Batch {
    /// Makes it what is sent. It goes on counting as what it was: there is never more than one such.
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

    /// What is pushed from here on belongs together, and replaces older metrics.
    pub(super) fn begin_collection(&mut self) {
        self.collection += 1;
    }

    /// Appends a batch. The oldest ones make room, because after an outage an operator looks for the newest.
    ///
    /// A body that waits as it is leaves no memory behind; one that is packed leaves its own to the next one.
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

    /// A batch in the form in which it is to wait: packed when it will do so for long, or many do.
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

    /// Drops the oldest until so many bytes fit; they may not when a batch is under way.
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

    /// Hands out the oldest batch, which stays pending until one of the three methods below takes it back.
    pub(super) fn take_oldest(&mut self) -> Option<Batch> {
        let mut oldest = self.waiting.pop_front()?;
        oldest.unpack();
        Some(oldest)
    }

    /// The collector took the batch, except for some of its items. Says how many it really can have refused.
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

    /// The batch is to be tried again, before all others.
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

    /// The batch is given up.
    pub(super) fn discard(&mut self, batch: Batch, reason: DropReason) {
        let mut counts = self.statistics.lock();
        counts.pending_items -= batch.items;
        counts.pending_bytes -= batch.bytes;
        counts.add_dropped(reason, batch.items);
    }

    /// Every waiting batch is given up.
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
        // Like spans, much of it is the same and some is not.
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
