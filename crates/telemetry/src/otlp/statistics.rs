//! Counts of items sent, dropped and pending.

use std::sync::{Mutex, MutexGuard, PoisonError};

use signal::ClosedSet;
use signal::builtin::DropReason;

/// Kinds of failure of a request to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum ExportFailure {
    /// The request timed out.
    Timeout,
    /// The host name of the collector could not be resolved.
    #[spelling("dns_failure")]
    NameResolution,
    /// Nothing listens on the collector's port.
    ConnectionRefused,
    /// No trusted TLS connection could be established.
    #[spelling("tls_failure")]
    Tls,
    /// The peer does not speak the protocol: HTTP/1 instead of HTTP/2 or the reverse.
    WrongProtocol,
    /// The connection failed in another way, or broke before the response.
    Connection,
    /// The collector asked to retry later.
    Unavailable,
    /// The collector rejected the request permanently.
    Rejected,
    /// The response was a redirect, which is not followed.
    Redirected,
    /// The response reports success but is not OTLP, such as a login page.
    NotOtlp,
    /// The collector rejected some of the items.
    PartlyRejected,
}

/// All counts of one sender at one instant.
///
/// `taken_items == sent_items + dropped_items() + pending_items` holds in every copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderCounts {
    /// Items taken from the source.
    pub taken_items: u64,
    /// Items that the collector accepted.
    pub sent_items: u64,
    /// Items that are queued or in flight.
    pub pending_items: u64,
    /// Memory of the pending items. The request in flight counts with the size it had in the queue.
    pub pending_bytes: u64,
    /// Requests that the collector accepted in full.
    pub succeeded_requests: u64,
    /// True if the last request got no response, so that only occasional attempts are made.
    pub circuit_open: bool,
    dropped_items: [u64; DropReason::ALL.len()],
    failed_requests: [u64; ExportFailure::ALL.len()],
}

impl SenderCounts {
    /// Returns the number of items that never reached the collector.
    pub fn dropped_items(&self) -> u64 {
        self.dropped_items.iter().sum()
    }

    /// Returns the number of items that never reached the collector for one reason.
    pub fn dropped_items_by(&self, reason: DropReason) -> u64 {
        self.dropped_items[reason.index()]
    }

    /// Returns the number of requests that the collector did not accept in full. A batch that is
    /// tried twice counts twice.
    pub fn failed_requests(&self) -> u64 {
        self.failed_requests.iter().sum()
    }

    /// Returns the number of requests that failed in one way.
    pub fn failed_requests_by(&self, failure: ExportFailure) -> u64 {
        self.failed_requests[failure.index()]
    }

    pub(super) fn add_dropped(&mut self, reason: DropReason, items: u64) {
        self.dropped_items[reason.index()] += items;
    }

    pub(super) fn add_failure(&mut self, failure: ExportFailure) {
        self.failed_requests[failure.index()] += 1;
    }
}

/// Live counts of one sender, shared with the code that exports them.
///
/// A lock instead of separate atomics keeps the sum exact in every copy. The sender takes it a few
/// times per batch.
#[derive(Debug, Default)]
pub struct SenderStatistics(Mutex<SenderCounts>);

impl SenderStatistics {
    /// Returns the counts at this instant.
    pub fn counts(&self) -> SenderCounts {
        *self.lock()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SenderCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn assert_indexed<Member: ClosedSet>() {
        let names: HashSet<&str> = Member::ALL.iter().map(|member| member.as_str()).collect();
        assert_eq!(names.len(), Member::ALL.len(), "names are distinct");
        for (position, member) in Member::ALL.iter().enumerate() {
            assert_eq!(member.index(), position, "{}", member.as_str());
        }
    }

    #[test]
    fn every_member_stands_at_its_index() {
        assert_indexed::<ExportFailure>();
        assert_indexed::<DropReason>();
    }
}
