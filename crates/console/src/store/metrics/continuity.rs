//! Whether counters go on in a block without a reset.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

/// For each slot of a block, the time of the sample since which no count fell until the end of the block. It is
/// found out while the block is read, so that later reads can pass over the block.
#[derive(Debug, Default)]
pub(super) struct Continuity(OnceLock<Box<[AtomicI64]>>);

/// Stands for a slot that was not read yet.
const UNKNOWN: i64 = i64::MIN;

impl Continuity {
    /// Returns whether a slot is known to go on since the sample of this time, in Unix milliseconds.
    pub(super) fn is_since(&self, slot: usize, before: i64) -> bool {
        let since = self.0.get().and_then(|slots| slots.get(slot));
        since.is_some_and(|since| since.load(Ordering::Relaxed) == before)
    }

    /// Remembers that one of `slots` slots goes on since the sample of this time.
    pub(super) fn set(&self, slots: usize, slot: usize, before: i64) {
        let all = self.0.get_or_init(|| (0..slots).map(|_| AtomicI64::new(UNKNOWN)).collect());
        if let Some(since) = all.get(slot) {
            since.store(before, Ordering::Relaxed);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.0.get().map_or(0, |slots| size_of_val(&**slots))
    }
}

impl Clone for Continuity {
    /// Returns one that knows nothing.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Continuity {
    /// Blocks with the same samples are equal, whichever was read.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
