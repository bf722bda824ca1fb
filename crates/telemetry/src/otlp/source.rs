//! The source from which a sender collects its batches.

/// A source of batches for a sender.
///
/// It is called on the sender's own thread only: at every interval, when woken, and a last time at
/// shutdown.
pub trait BatchSource: Send + Sync + 'static {
    /// Begins a new collection. A source that renders the current state in parts starts again with
    /// the first part.
    fn begin(&self) {}

    /// Writes one complete encoded export request into `into`, which is empty, and returns the number of
    /// items. The source may exchange the buffer.
    ///
    /// A request should stay well below 4 MiB, the maximum that a collector accepts by default. If items
    /// remain, [`BatchItems::more`] makes the sender call again.
    fn take(&self, into: &mut Vec<u8>) -> BatchItems;
}

/// The contents of a request that [`BatchSource::take`] produced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchItems {
    /// Number of spans or data points in the request; 0 if there is nothing to send.
    pub items: u64,
    /// State of the source: whether another call would return more.
    pub more: More,
}

/// State of a source after a request was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// Nothing is left. A source that renders the current state must return this at the end, or it
    /// is called forever.
    #[default]
    Nothing,
    /// More is left and should be taken immediately, to make room in the source.
    AtOnce,
    /// More is left, but should be taken only after this request was sent, so that it need not be
    /// queued.
    Later,
}
