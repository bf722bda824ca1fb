//! The handle through which everything is recorded, and the buffers in which it waits to be sent.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::ClosedSet;
use crate::builtin::{self, Signal};
use crate::clock::{Clock, Monotonic, Timestamp, TimestampText};
use crate::json;
use crate::log::{Level, LevelFilter, LevelSetting};
use crate::meter::{Counter, Meter};
use crate::otlp_encoding::{RequestFrame, Resource};
use crate::record::Record;
use crate::trace::Sampler;

/// How much of a setting of levels is written into a line.
const LONGEST_LEVEL: usize = 200;

/// What one shard may hold of one signal while nobody takes it; beyond that it drops and counts.
const SHARD_LIMIT: usize = 1 << 20;
/// Pending bytes at which the thread that takes them is woken before its interval is over.
const WAKE_AT: usize = 128 << 10;
/// The size of buffers: several threads' spans find room in it, and what comes until whoever was woken has come. All buffers have one
/// size, so that memory is not divided into ever other pieces, and what is never filled takes none.
pub(crate) const BUFFER: usize = 2 * WAKE_AT;

/// Records operations. Cheap to clone; there is no global one, so tests run side by side.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    meter: Meter,
    settings: TelemetrySettings,
    shards: Box<[Shard]>,
    /// What stands around spans.
    span_request: RequestFrame,
    /// Lines and spans for which no buffer had room, by [`Signal`].
    buffer_full: [AtomicU64; 3],
    lines: Counter<Level>,
    wake_lines: OnceLock<Box<dyn Fn() + Send + Sync>>,
    wake_spans: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What is decided before the first record. The default writes lines from `info` on and no spans.
#[derive(Clone, Default)]
pub struct TelemetrySettings {
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// Whether spans go anywhere; if not, none is encoded.
    pub traces: bool,
    /// Which lines are written; shared with whoever changes it while the process runs.
    pub levels: LevelFilter,
    /// Who is recording: the OTLP resource.
    pub resource: Resource,
}

/// One buffer per thread, near enough: threads are spread over a few shards, so a lock is practically never contended and
/// nothing needs to be rescued from a thread that exits.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Buffers>);

#[derive(Default)]
struct Buffers {
    lines: Vec<u8>,
    /// The beginning of an export request, up to its last span.
    spans: Vec<u8>,
    span_count: usize,
    timestamp: TimestampText,
}

/// Encoded spans that were taken out of the buffers.
pub struct TakenSpans {
    /// A complete `ExportTraceServiceRequest`, or nothing where there were no spans.
    pub request: Vec<u8>,
    /// How many spans it holds.
    pub count: usize,
}

impl Telemetry {
    /// Creates the handle and its buffers; [`Pipeline`](crate::Pipeline) starts the threads that empty them.
    pub fn new(settings: TelemetrySettings) -> Self {
        let meter = Meter::default();
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            clock: Clock::new(),
            buffer_full: Default::default(),
            lines: meter.counter(&builtin::LOG_LINES),
            meter,
            span_request: RequestFrame::new(&settings.resource),
            settings,
            shards: (0..2 * parallelism).map(|_| Shard::default()).collect(),
            wake_lines: OnceLock::new(),
            wake_spans: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where instruments are built.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Who is recording.
    pub fn resource(&self) -> &Resource {
        &self.inner.settings.resource
    }

    pub(crate) fn sampler(&self) -> &Sampler {
        &self.inner.settings.sampler
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Which lines are written.
    pub fn levels(&self) -> &LevelFilter {
        &self.inner.settings.levels
    }

    /// Renders a record as metric points, a line and a span.
    pub fn finish(&self, record: &Record<'_>) {
        record.record_point(self.inner.settings.traces);
        let level = record.operation.level(record.outcome);
        let wants_line = self.inner.settings.levels.enabled(level);
        let wants_span = self.inner.settings.traces && record.context.sampled;
        if !wants_line && !wants_span {
            return;
        }
        let mut buffers = self.shard();
        let mut wake_lines = false;
        let mut wake_spans = false;
        if wants_line {
            let Buffers { lines, timestamp, .. } = &mut *buffers;
            // A line carries the time at which its operation ended, so that lines are in order of time.
            let end = record.start.after(record.nanoseconds);
            wake_lines = self.append_line(lines, level, |out| {
                timestamp.begin_line(out, end);
                record.write_line(out);
            });
        }
        if wants_span {
            if buffers.spans.len() < SHARD_LIMIT {
                if buffers.spans.is_empty() {
                    self.inner.span_request.begin(&mut buffers.spans);
                }
                let before = buffers.spans.len();
                record.write_span(&mut buffers.spans);
                buffers.span_count += 1;
                wake_spans = before < WAKE_AT && buffers.spans.len() >= WAKE_AT;
            } else {
                self.inner.buffer_full[Signal::Traces.index()].fetch_add(1, Relaxed);
            }
        }
        drop(buffers);
        self.wake(wake_lines, wake_spans);
    }

    /// Writes a line that belongs to no operation, such as a business fact. The line begins with the time of now, and `write`
    /// appends what follows its microseconds, from `Z` to the newline.
    pub(crate) fn write_line(&self, level: Level, write: impl FnOnce(&mut Vec<u8>)) {
        if self.inner.settings.levels.enabled(level) {
            self.write_unfiltered(level, write);
        }
    }

    /// Changes which lines are written. The line that says so comes first and is written at every level, so that nobody can hide by a
    /// change what they do next, nor the change itself.
    pub fn change_levels(&self, setting: LevelSetting) {
        let before = self.levels().setting();
        self.write_unfiltered(Level::Warn, |out| {
            out.extend_from_slice(b"Z\",\"level\":\"warn\"");
            json::key(out, "event");
            json::string(out, "log.level.changed");
            for (key, setting) in [("log.level", &setting), ("log.level.before", &*before)] {
                json::key(out, key);
                json::string(out, &as_value(&setting.to_string()));
            }
            out.extend_from_slice(b"}\n");
        });
        self.levels().set(setting);
    }

    fn write_unfiltered(&self, level: Level, write: impl FnOnce(&mut Vec<u8>)) {
        let now = self.now();
        let mut buffers = self.shard();
        let Buffers { lines, timestamp, .. } = &mut *buffers;
        let wake = self.append_line(lines, level, |out| {
            timestamp.begin_line(out, now);
            write(out);
        });
        drop(buffers);
        self.wake(wake, false);
    }

    /// Takes a line that is rendered already and has passed its own filter, which may know of targets.
    pub(crate) fn write_finished_line(&self, level: Level, line: &[u8]) {
        let mut buffers = self.shard();
        let wake = self.append_line(&mut buffers.lines, level, |out| out.extend_from_slice(line));
        drop(buffers);
        self.wake(wake, false);
    }

    /// Appends one line if there is room, and says whether the writer should be woken for it.
    fn append_line(&self, lines: &mut Vec<u8>, level: Level, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if lines.len() >= SHARD_LIMIT {
            self.inner.buffer_full[Signal::Logs.index()].fetch_add(1, Relaxed);
            return false;
        }
        let before = lines.len();
        write(lines);
        self.inner.lines.add(level, 1);
        level.index() >= Level::Error.index() || (before < WAKE_AT && lines.len() >= WAKE_AT)
    }

    fn wake(&self, lines: bool, spans: bool) {
        if lines && let Some(wake) = self.inner.wake_lines.get() {
            wake();
        }
        if spans && let Some(wake) = self.inner.wake_spans.get() {
            wake();
        }
    }

    /// Sets who is woken when much is pending, or something urgent.
    pub(crate) fn wake_with(
        &self,
        lines: impl Fn() + Send + Sync + 'static,
        spans: impl Fn() + Send + Sync + 'static,
    ) {
        let _ = self.inner.wake_lines.set(Box::new(lines));
        let _ = self.inner.wake_spans.set(Box::new(spans));
    }

    /// How many items of a signal were dropped because their buffer was full.
    pub fn buffer_full(&self, signal: Signal) -> u64 {
        self.inner.buffer_full[signal.index()].load(Relaxed)
    }

    /// Now, on the wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.timestamp(Monotonic::now())
    }

    /// Hands all pending lines to `write`, buffer by buffer. Each is exchanged for `spare`, which need not be empty and holds nothing
    /// of use afterwards; `write` may take what it is given.
    pub fn take_lines(&self, spare: &mut Vec<u8>, mut write: impl FnMut(&mut Vec<u8>)) {
        self.inner.clock.synchronize();
        for shard in &self.inner.shards {
            spare.clear();
            spare.shrink_to(BUFFER);
            spare.reserve_exact(BUFFER);
            std::mem::swap(spare, &mut lock(&shard.0).lines);
            if !spare.is_empty() {
                write(spare);
            }
        }
    }

    /// Takes the pending spans of as many shards as fit into about `limit` bytes, as one request. `spare` is memory that the next
    /// spans may use.
    pub fn take_spans(&self, limit: usize, mut spare: Vec<u8>) -> TakenSpans {
        spare.clear();
        spare.shrink_to(BUFFER);
        let mut taken = TakenSpans { request: spare, count: 0 };
        for shard in &self.inner.shards {
            let mut buffers = lock(&shard.0);
            if buffers.span_count == 0 {
                continue;
            }
            if taken.count == 0 {
                // The first one is handed over whole.
                taken.request.reserve_exact(BUFFER);
                std::mem::swap(&mut taken.request, &mut buffers.spans);
            } else if taken.request.len() + buffers.spans.len() > limit {
                break;
            } else {
                taken.request.extend_from_slice(&buffers.spans[self.inner.span_request.head_length()..]);
                buffers.spans.clear();
            }
            taken.count += std::mem::take(&mut buffers.span_count);
        }
        if taken.count > 0 {
            self.inner.span_request.complete(&mut taken.request);
        }
        taken
    }

    fn shard(&self) -> MutexGuard<'_, Buffers> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static ORDINAL: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed));
        }
        let shards = &self.inner.shards;
        lock(&shards[ORDINAL.get() % shards.len()].0)
    }
}

/// Buffers hold whole lines and spans at every moment at which a panic is possible, so a poisoned lock is still good.
/// A setting as collectors let values through: `info,sqlx=warn` becomes `info/sqlx:warn`, and what is too long is cut off.
fn as_value(setting: &str) -> String {
    let letter = |letter| match letter {
        ',' => '/',
        '=' => ':',
        other => other,
    };
    setting.chars().map(letter).take(LONGEST_LEVEL).collect()
}

fn lock<T>(buffers: &Mutex<T>) -> MutexGuard<'_, T> {
    buffers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
