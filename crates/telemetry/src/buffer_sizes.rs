//! Sizes of the buffers in which lines and spans wait for the threads that empty them.

/// Maximum bytes that one shard holds per signal. Beyond that, records are dropped and counted.
pub(crate) const SHARD_LIMIT: usize = 1 << 20;
/// Pending bytes at which the writing or sending thread is woken before its interval is over.
pub(crate) const WAKE_AT: usize = 128 << 10;
/// Size of all buffers. It holds the spans of several threads, plus those recorded while the woken
/// thread is on its way. One size for all avoids fragmentation, and pages that are never written
/// take no memory.
pub(crate) const BUFFER: usize = 2 * WAKE_AT;
