//! Counts of log lines written and lost, per destination, for the metrics of telemetry itself.

use std::sync::atomic::{AtomicU64, Ordering};

use signal::ClosedSet;

/// A destination of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum LogSink {
    /// Standard output of the process.
    Stdout,
    /// The size-rotated file.
    File,
}

/// Reasons why a log line was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum LogDropReason {
    /// The disk, the quota or the maximum file size is exhausted.
    StorageFull,
    /// The other end was closed.
    Closed,
    /// The reader at the other end is too slow, or does not read at all.
    Blocked,
    /// Any other failure of the operating system.
    Io,
}

impl LogDropReason {
    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::StorageFull,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected => Self::Closed,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Blocked,
            _ => Self::Io,
        }
    }
}

/// Number of lines and their bytes, counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogVolume {
    /// Number of whole lines.
    pub lines: u64,
    /// Bytes of those lines, including newlines.
    pub bytes: u64,
}

impl LogVolume {
    /// Returns the volume of text that consists of whole lines.
    pub(crate) fn of(text: &[u8]) -> Self {
        Self { lines: memchr::memchr_iter(b'\n', text).count() as u64, bytes: text.len() as u64 }
    }
}

#[derive(Debug, Default)]
struct VolumeCounter {
    lines: AtomicU64,
    bytes: AtomicU64,
}

impl VolumeCounter {
    fn add(&self, volume: LogVolume) {
        self.lines.fetch_add(volume.lines, Ordering::Relaxed);
        self.bytes.fetch_add(volume.bytes, Ordering::Relaxed);
    }

    fn read(&self) -> LogVolume {
        LogVolume { lines: self.lines.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

const SINKS: usize = LogSink::ALL.len();
const REASONS: usize = LogDropReason::ALL.len();

/// Counters of the log writer since the process started.
#[derive(Debug, Default)]
pub struct LogStatistics {
    written: [VolumeCounter; SINKS],
    dropped: [[VolumeCounter; REASONS]; SINKS],
    rotations: AtomicU64,
    rotation_failures: AtomicU64,
    writer_panics: AtomicU64,
}

impl LogStatistics {
    /// Returns the lines that were handed to the operating system.
    pub fn written(&self, sink: LogSink) -> LogVolume {
        self.written[sink.index()].read()
    }

    /// Returns the lines that were lost for a reason.
    pub fn dropped(&self, sink: LogSink, reason: LogDropReason) -> LogVolume {
        self.dropped[sink.index()][reason.index()].read()
    }

    /// Returns how many times the file was rotated.
    pub fn rotations(&self) -> u64 {
        self.rotations.load(Ordering::Relaxed)
    }

    /// Returns how many times a rotation was due and failed, so that the file kept growing.
    pub fn rotation_failures(&self) -> u64 {
        self.rotation_failures.load(Ordering::Relaxed)
    }

    /// Returns how many times the writer continued after a panic in itself or in its source.
    pub fn writer_panics(&self) -> u64 {
        self.writer_panics.load(Ordering::Relaxed)
    }

    pub(crate) fn add_written(&self, sink: LogSink, volume: LogVolume) {
        self.written[sink.index()].add(volume);
    }

    pub(crate) fn add_dropped(&self, sink: LogSink, reason: LogDropReason, volume: LogVolume) {
        self.dropped[sink.index()][reason.index()].add(volume);
    }

    pub(crate) fn add_rotation(&self) {
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_rotation_failure(&self) {
        self.rotation_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_writer_panic(&self) {
        self.writer_panics.fetch_add(1, Ordering::Relaxed);
    }
}
