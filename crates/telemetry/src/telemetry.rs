//! The handle that records everything, and the buffers in which records wait for the pipeline.
//!
//! Long because all of it works on the buffers, which are private to this file.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use signal::ClosedSet;
use signal::builtin::{self, Signal};
use signal::names::SERVICE_INSTANCE_ID;

use crate::InstrumentationScope;
use crate::buffer_sizes::{BUFFER, SHARD_LIMIT, WAKE_AT};
use crate::clock::{Clock, Monotonic, Timestamp, TimestampText};
use crate::histogram_aggregation::HistogramAggregation;
use crate::json;
use crate::log::{Level, LevelFilter, LevelSetting};
use crate::meter::{Counter, Meter};
use crate::otlp_encoding::{OpenScope, RequestFrame, Resource};
use crate::record::Record;
use crate::trace::Sampler;

/// Maximum number of characters of a level setting that a line quotes.
const LONGEST_LEVEL: usize = 200;

/// Records operations. It is cheap to clone. There is no global instance, so tests run side by
/// side.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    meter: Meter,
    settings: TelemetrySettings,
    /// True if exemplars are kept, whose spans are encoded.
    exemplars: bool,
    shards: Box<[Shard]>,
    /// Head and tail of trace export requests.
    span_request: RequestFrame,
    /// The end of every line, with the process that wrote it.
    line_end: Vec<u8>,
    /// Number of items for which no buffer had room, by [`Signal`].
    buffer_full: [AtomicU64; 3],
    lines: Counter<Level>,
    wake_lines: OnceLock<Box<dyn Fn() + Send + Sync>>,
    wake_spans: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Settings that are fixed before the first record. By default, lines are written from level `info`
/// and no spans are encoded.
#[derive(Clone)]
pub struct TelemetrySettings {
    /// Selects the traces that are recorded.
    pub sampler: Sampler,
    /// If false, no span is encoded.
    pub traces: bool,
    /// If false, no histogram names a span as an example.
    pub exemplars: bool,
    /// Selects the lines that are written. It is shared, so levels can be changed while the process
    /// runs.
    pub levels: LevelFilter,
    /// Form in which histograms are sent.
    pub histograms: HistogramAggregation,
    /// The OTLP resource of the process.
    pub resource: Resource,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            sampler: Sampler::default(),
            traces: false,
            exemplars: true,
            levels: LevelFilter::default(),
            histograms: HistogramAggregation::default(),
            resource: Resource::default(),
        }
    }
}

/// A buffer shared by few threads. Threads are spread over the shards, so a lock is rarely
/// contended, and nothing needs to be rescued from a thread that exits.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Buffers>);

#[derive(Default)]
struct Buffers {
    lines: Vec<u8>,
    /// Encoded spans by index of their scope.
    spans: [SpanBuffer; InstrumentationScope::MOST],
    /// Number of bytes in all of them.
    span_bytes: usize,
    timestamp: TimestampText,
}

/// Encoded spans of one scope, behind the head of a request, so that a request can be taken without
/// copying its spans.
#[derive(Default)]
struct SpanBuffer {
    /// Empty until the first span.
    bytes: Vec<u8>,
    /// Length of the head.
    head: usize,
    count: usize,
    scope: Option<InstrumentationScope>,
    open: Option<OpenScope>,
}

impl SpanBuffer {
    #[cold]
    fn begin(&mut self, frame: &RequestFrame, scope: InstrumentationScope) {
        frame.begin(&mut self.bytes);
        self.open = Some(frame.begin_scope(&mut self.bytes, scope));
        self.scope = Some(scope);
        self.head = self.bytes.len();
    }
}

/// Encoded spans that were taken from the buffers.
pub struct TakenSpans {
    /// A complete `ExportTraceServiceRequest`; empty if there were no spans.
    pub request: Vec<u8>,
    /// Number of spans in the request.
    pub count: usize,
}

impl Telemetry {
    /// Creates the handle and its buffers; [`Pipeline`](crate::Pipeline) starts the threads that
    /// empty them.
    pub fn new(settings: TelemetrySettings) -> Self {
        let meter = Meter::default();
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            clock: Clock::new(),
            buffer_full: Default::default(),
            lines: meter.counter(&builtin::LOG_LINES),
            meter,
            span_request: RequestFrame::new(&settings.resource),
            exemplars: settings.traces && settings.exemplars,
            line_end: line_end(&settings.resource),
            settings,
            shards: (0..2 * parallelism).map(|_| Shard::default()).collect(),
            wake_lines: OnceLock::new(),
            wake_spans: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the meter from which instruments are built.
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Returns the end of every line, from the field that names the process.
    pub(crate) fn line_end(&self) -> &[u8] {
        &self.inner.line_end
    }

    /// Returns the OTLP resource of the process.
    pub fn resource(&self) -> &Resource {
        &self.inner.settings.resource
    }

    pub(crate) fn histograms(&self) -> HistogramAggregation {
        self.inner.settings.histograms
    }

    pub(crate) fn sampler(&self) -> &Sampler {
        &self.inner.settings.sampler
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Returns the filter that selects the lines that are written.
    pub fn levels(&self) -> &LevelFilter {
        &self.inner.settings.levels
    }

    /// Renders a record as metric points, a line and a span.
    pub fn finish(&self, record: &Record<'_>) {
        record.record_point(self.inner.exemplars);
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
            // A line carries the end time of its operation, so that lines are ordered by time.
            let end = record.start.after(record.nanoseconds);
            wake_lines = self.append_line(lines, level, |out| {
                timestamp.begin_line(out, end);
                record.write_line(out);
            });
        }
        if wants_span {
            let before = buffers.span_bytes;
            if before < SHARD_LIMIT {
                let scope = record.operation.scope();
                let buffer = &mut buffers.spans[scope.index()];
                if buffer.bytes.is_empty() {
                    buffer.begin(&self.inner.span_request, scope);
                }
                let length = buffer.bytes.len();
                record.write_span(&mut buffer.bytes);
                buffer.count += 1;
                let after = before + buffer.bytes.len() - length;
                buffers.span_bytes = after;
                wake_spans = before < WAKE_AT && after >= WAKE_AT;
            } else {
                self.inner.buffer_full[Signal::Traces.index()].fetch_add(1, Relaxed);
            }
        }
        drop(buffers);
        self.wake(wake_lines, wake_spans);
    }

    /// Writes a line that belongs to no operation, such as a business fact. The line begins with
    /// the current time. `write` appends everything after the microseconds, from `Z` to the last
    /// field.
    pub(crate) fn write_line(&self, level: Level, write: impl FnOnce(&mut Vec<u8>)) {
        if self.inner.settings.levels.enabled(level) {
            self.write_unfiltered(level, write);
        }
    }

    /// Changes the levels of lines that are written. A line about the change is written first,
    /// whatever the levels. So nobody can lower the levels to hide their next actions, nor the
    /// change itself.
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

    /// Appends a rendered line that has already passed its own filter, which may depend on targets.
    pub(crate) fn write_finished_line(&self, level: Level, line: &[u8]) {
        debug_assert!(line.ends_with(LINE_END), "a line is a whole object");
        let line = line.strip_suffix(LINE_END).unwrap_or(line);
        let mut buffers = self.shard();
        let wake = self.append_line(&mut buffers.lines, level, |out| out.extend_from_slice(line));
        drop(buffers);
        self.wake(wake, false);
    }

    /// Appends one line if there is room, and returns whether the writer should be woken for it.
    /// `write` appends everything but the end, which is the same for all lines.
    fn append_line(&self, lines: &mut Vec<u8>, level: Level, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if lines.len() >= SHARD_LIMIT {
            self.inner.buffer_full[Signal::Logs.index()].fetch_add(1, Relaxed);
            return false;
        }
        let before = lines.len();
        write(lines);
        lines.extend_from_slice(&self.inner.line_end);
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

    /// Sets the callbacks that wake the threads when much is pending, or something urgent.
    pub(crate) fn wake_with(
        &self,
        lines: impl Fn() + Send + Sync + 'static,
        spans: impl Fn() + Send + Sync + 'static,
    ) {
        let _ = self.inner.wake_lines.set(Box::new(lines));
        let _ = self.inner.wake_spans.set(Box::new(spans));
    }

    /// Returns the number of items of a signal that were dropped because their buffer was full.
    pub fn buffer_full(&self, signal: Signal) -> u64 {
        self.inner.buffer_full[signal.index()].load(Relaxed)
    }

    /// Returns the current wall-clock time.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.timestamp(Monotonic::now())
    }

    /// Passes all pending lines to `write`, buffer by buffer. Each buffer is exchanged for `spare`,
    /// which need not be empty; its contents are useless afterwards. `write` may keep the buffer
    /// that it receives.
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

    /// Takes as many pending spans as fit into about `limit` bytes, as one request. Spans of one scope
    /// are together. The memory of `spare` is reused.
    pub fn take_spans(&self, limit: usize, mut spare: Vec<u8>) -> TakenSpans {
        spare.clear();
        spare.shrink_to(BUFFER);
        let mut taken = TakenSpans { request: spare, count: 0 };
        let frame = &self.inner.span_request;
        for index in 0..InstrumentationScope::MOST {
            let mut open = None;
            for shard in &self.inner.shards {
                let mut buffers = lock(&shard.0);
                let buffer = &mut buffers.spans[index];
                let Some(scope) = buffer.scope.filter(|_| buffer.count > 0) else { continue };
                let length = buffer.bytes.len() - buffer.head;
                if taken.count > 0 && taken.request.len() + length > limit {
                    continue;
                }
                if taken.count == 0 {
                    taken.request.reserve(BUFFER);
                    std::mem::swap(&mut taken.request, &mut buffer.bytes);
                    open = buffer.open.take();
                } else {
                    open.get_or_insert_with(|| frame.begin_scope(&mut taken.request, scope));
                    taken.request.extend_from_slice(&buffer.bytes[buffer.head..]);
                }
                taken.count += std::mem::take(&mut buffer.count);
                buffer.bytes.clear();
                buffer.bytes.shrink_to(BUFFER);
                buffers.span_bytes -= length;
            }
            if let Some(open) = open {
                frame.end_scope(&mut taken.request, open);
            }
        }
        if taken.count > 0 {
            frame.complete(&mut taken.request);
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

/// The end of a line that does not name its process yet.
const LINE_END: &[u8] = b"}\n";

/// Returns the end of the lines of a process.
fn line_end(resource: &Resource) -> Vec<u8> {
    let mut end = Vec::new();
    if let Some(instance) = resource.attribute(SERVICE_INSTANCE_ID) {
        json::key(&mut end, SERVICE_INSTANCE_ID);
        json::string(&mut end, instance);
    }
    end.extend_from_slice(LINE_END);
    end
}

/// Formats a level setting so that collectors accept it as a value: `info,sqlx=warn` becomes
/// `info/sqlx:warn`. Longer text is cut off.
fn as_value(setting: &str) -> String {
    let letter = |letter| match letter {
        ',' => '/',
        '=' => ':',
        other => other,
    };
    setting.chars().map(letter).take(LONGEST_LEVEL).collect()
}

/// Locks buffers even if the lock is poisoned: wherever a panic is possible, they hold whole lines
/// and spans only.
fn lock<T>(buffers: &Mutex<T>) -> MutexGuard<'_, T> {
    buffers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
