//! The state that a source and its sender share.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::SenderStatistics;

/// State that a source and its sender share. It is created before both, so that the source can hold
/// a copy.
#[derive(Clone, Debug, Default)]
pub struct SenderLink {
    statistics: Arc<SenderStatistics>,
    wake: Arc<Notify>,
    /// True once the first collection was sent, or an attempt to send it failed.
    first_is_decided: Arc<watch::Sender<bool>>,
}

impl SenderLink {
    /// Makes the sender collect now instead of at the next interval. It is cheap and may be called
    /// from any thread.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns the counts of items sent, dropped and pending.
    pub fn statistics(&self) -> &Arc<SenderStatistics> {
        &self.statistics
    }

    /// Waits until the first collection has been sent, or an attempt to send it has failed.
    pub async fn first_collection(&self) {
        let mut decided = self.first_is_decided.subscribe();
        // The sender lives as long as `self`, so the wait can only end by the condition.
        let _ = decided.wait_for(|is_decided| *is_decided).await;
    }

    pub(super) fn decide_first_collection(&self) {
        self.first_is_decided.send_if_modified(|is_decided| !std::mem::replace(is_decided, true));
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}
