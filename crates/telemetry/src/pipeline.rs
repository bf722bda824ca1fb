//! The threads that carry records out of the process: one for log lines, one for spans, one for
//! metric points.
//!
//! They share nothing but the buffers, so a collector that hangs for one signal does not delay
//! another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use signal::builtin::{self, CpuMode, DropReason, Signal};
use signal::{ClosedSet, events};

use crate::buffer_sizes::BUFFER;
use crate::log::{
    Level, LogDropReason, LogError, LogOutput, LogSettings, LogSink, LogSource, LogStatistics, LogWriter,
    LogWriterHandle, PanicText, TracingBridge, TracingBridgeSettings, install_panic_hook,
};
use crate::meter::SnapshotReader;
use crate::otlp::{
    self, BatchItems, BatchSource, More, SenderLink, SenderWarning, SignalSender, SignalSettings, StartError,
};
use crate::process::ProcessSample;
use crate::{Telemetry, current, metrics_request};

/// Approximate size of a trace export request; the spans of one thread are never split. The queue
/// has room for several requests, and each stays below the 4 MiB that a collector accepts by
/// default.
const TRACE_REQUEST_BYTES: usize = BUFFER;

/// Maximum number of series in a metrics export request. Sending all points at once would take ten
/// times the memory, and a process keeps its peak memory.
const POINTS_PER_REQUEST: usize = 256;

/// Maximum age of a process reading before it is taken again, because one snapshot asks for its
/// numbers one by one.
const PROCESS_SAMPLE_AGE: Duration = Duration::from_millis(500);

/// Settings of the pipeline's threads and of `tracing`.
pub struct PipelineSettings {
    /// Destination and format of log lines.
    pub log: LogSettings,
    /// Destination of spans. Without it, no spans are encoded.
    pub traces: Option<SignalSettings>,
    /// Destination of metric points.
    pub metrics: Option<SignalSettings>,
    /// The only fields of `tracing` events that are recorded.
    pub allowed_fields: &'static [&'static str],
    /// The application's own modules. Only they may name events.
    pub own_targets: &'static [&'static str],
    /// Treatment of the text of panics.
    pub panic_text: PanicText,
}

/// Reasons why the pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The log file cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A sender cannot be set up.
    #[error(transparent)]
    Sender(#[from] StartError),
    /// Another `tracing` subscriber is already installed in this process.
    #[error("another subscriber of the tracing library is installed in this process")]
    SubscriberInstalled,
}

/// The running threads, until [`shutdown`](Self::shutdown).
pub struct Pipeline {
    telemetry: Telemetry,
    writer: LogWriter,
    senders: Vec<SignalSender>,
    links: Vec<(Signal, SenderLink)>,
    /// The link to the sender of metrics, if there is one.
    metrics: Option<SenderLink>,
}

impl Pipeline {
    /// Starts the threads, turns `tracing` events and panics into log lines, and registers the
    /// metrics of the pipeline and the process. Call it once per process: the `tracing` subscriber
    /// and the panic hook are global.
    ///
    /// # Errors
    /// Returns an error if the log file or a sender cannot be set up.
    pub fn start(telemetry: &Telemetry, settings: PipelineSettings) -> Result<Self, PipelineError> {
        let writer = LogWriter::start(settings.log, Arc::new(Lines(telemetry.clone())))?;
        let output: Arc<dyn LogOutput> = Arc::new(Lines(telemetry.clone()));
        let bridge = TracingBridgeSettings {
            allowed_fields: settings.allowed_fields,
            own_targets: settings.own_targets,
            current_ids: || current::context().map(|context| (context.trace_id.0, context.span_id.0)),
            now: SystemTime::now,
        };
        let bridge = TracingBridge::new(bridge, telemetry.levels().clone(), output.clone());
        bridge.install_globally().map_err(|_| PipelineError::SubscriberInstalled)?;
        let panics = install_panic_hook(output, Some(writer.handle()), settings.panic_text, SystemTime::now);
        telemetry.meter().observe(&builtin::PANICS, move |()| Some(panics.get() as f64));

        let (trace_link, metric_link) = (SenderLink::default(), SenderLink::default());
        let links = vec![(Signal::Traces, trace_link.clone()), (Signal::Metrics, metric_link.clone())];
        let mut senders = Vec::new();
        if let Some(traces) = &settings.traces {
            let source = Arc::new(Spans(telemetry.clone()));
            senders.push(SignalSender::start(Signal::Traces, traces, source, &trace_link, warn)?);
        }
        if let Some(metrics) = &settings.metrics {
            let source = Arc::new(Points { telemetry: telemetry.clone(), reader: Mutex::default() });
            senders.push(SignalSender::start(Signal::Metrics, metrics, source, &metric_link, warn)?);
        }
        let metrics = settings.metrics.is_some().then(|| metric_link.clone());
        let (wake_lines, wake_spans) = (writer.handle(), trace_link.clone());
        telemetry.wake_with(move || wake_lines.wake(), move || wake_spans.wake());
        report_pipeline(telemetry, writer.statistics(), trace_link, metric_link);
        report_process(telemetry);
        Ok(Self { telemetry: telemetry.clone(), writer, senders, links, metrics })
    }

    /// Sends all metrics once, immediately. Call it when every series exists and nothing has been
    /// counted: an increase is visible only if the initial value was sent.
    ///
    /// Returns when the collector has accepted them, when sending has failed, and at the latest
    /// after `within`.
    pub async fn send_first_metrics(&self, within: Duration) {
        if let Some(link) = &self.metrics {
            link.wake();
            let _ = tokio::time::timeout(within, link.first_collection()).await;
        }
    }

    /// Returns a handle to the thread that writes log lines.
    pub fn log_writer(&self) -> LogWriterHandle {
        self.writer.handle()
    }

    /// Sends everything pending within one total time limit, whatever the collector does. Blocks
    /// the calling thread.
    pub fn shutdown(self, within: Duration) {
        let deadline = Instant::now() + within;
        otlp::shutdown(self.senders, deadline);
        for (signal, link) in self.links {
            report_lost_items(&self.telemetry, signal, &link);
        }
        // Lines last, because sending may have produced some. Writing them needs no network, so it
        // always gets a moment.
        self.writer.shutdown(deadline.max(Instant::now() + Duration::from_millis(200)));
        drop(self.telemetry);
    }
}

/// Logs how many items never arrived, because the metrics that count them are not read any more.
fn report_lost_items(telemetry: &Telemetry, signal: Signal, link: &SenderLink) {
    let dropped_items = link.statistics().counts().dropped_items() + telemetry.buffer_full(signal);
    if dropped_items > 0 {
        tracing::warn!(name: "telemetry.items_lost", signal = signal.as_str(), dropped_items);
    }
}

/// Logs that sending fails, at most once a minute for each signal.
fn warn(warning: SenderWarning) {
    tracing::warn!(
        name: events::EXPORT_FAILED,
        signal = warning.signal.as_str(),
        failure = warning.failure.as_str(),
        status = warning.status,
        failed_requests = warning.failed_requests,
        dropped_items = warning.dropped_items,
    );
}

struct Lines(Telemetry);

impl LogSource for Lines {
    fn take(&self, spare: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.0.take_lines(spare, write);
    }

    fn line_end(&self) -> &[u8] {
        self.0.line_end()
    }
}

impl LogOutput for Lines {
    fn line(&self, level: Level, line: &[u8]) {
        self.0.write_finished_line(level, line);
    }
}

struct Spans(Telemetry);

impl BatchSource for Spans {
    fn take(&self, into: &mut Vec<u8>) -> BatchItems {
        let taken = self.0.take_spans(TRACE_REQUEST_BYTES, std::mem::take(into));
        *into = taken.request;
        let more = if taken.count > 0 { More::AtOnce } else { More::Nothing };
        BatchItems { items: taken.count as u64, more }
    }
}

/// Iterates over the points of all metrics, one request at a time.
struct Points {
    telemetry: Telemetry,
    reader: Mutex<SnapshotReader>,
}

impl BatchSource for Points {
    fn begin(&self) {
        let now = self.telemetry.now().unix_nanoseconds();
        self.telemetry.meter().begin_snapshot(&mut self.reader(), now);
    }

    fn take(&self, into: &mut Vec<u8>) -> BatchItems {
        let mut reader = self.reader();
        let part = self.telemetry.meter().snapshot_part(&mut reader, POINTS_PER_REQUEST);
        let now = self.telemetry.now().unix_nanoseconds();
        let points =
            metrics_request(self.telemetry.resource(), &part, self.telemetry.histograms(), now, into);
        let more = if reader.is_at_start() { More::Nothing } else { More::Later };
        BatchItems { items: points as u64, more }
    }
}

impl Points {
    fn reader(&self) -> MutexGuard<'_, SnapshotReader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers the metrics that count items exported, dropped and queued, by signal.
fn report_pipeline(telemetry: &Telemetry, log: Arc<LogStatistics>, traces: SenderLink, metrics: SenderLink) {
    let link = move |signal: Signal| match signal {
        Signal::Logs => None,
        Signal::Traces => Some(traces.statistics().counts()),
        Signal::Metrics => Some(metrics.statistics().counts()),
    };
    let meter = telemetry.meter();
    let buffers = telemetry.clone();
    let (counts, lines) = (link.clone(), log.clone());
    meter.observe(&builtin::DROPPED, move |(signal, reason)| {
        let dropped = match (reason, counts(signal)) {
            (DropReason::BufferFull, _) => buffers.buffer_full(signal),
            (reason, Some(counts)) => counts.dropped_items_by(reason),
            (reason, None) => lines_dropped(&lines, reason),
        };
        Some(dropped as f64)
    });
    let counts = link.clone();
    meter.observe(&builtin::EXPORTED, move |signal| {
        let written = LogSink::ALL.iter().map(|sink| log.written(*sink).lines).max().unwrap_or_default();
        Some(counts(signal).map_or(written, |counts| counts.sent_items) as f64)
    });
    let counts = link.clone();
    meter.observe(&builtin::EXPORT_FAILURES, move |signal| {
        Some(counts(signal).map_or(0, |counts| counts.failed_requests()) as f64)
    });
    meter.observe(&builtin::QUEUE_SIZE, move |signal| {
        Some(link(signal).map_or(0, |counts| counts.pending_bytes) as f64)
    });
}

fn lines_dropped(log: &LogStatistics, reason: DropReason) -> u64 {
    let reasons: &[LogDropReason] = match reason {
        DropReason::QueueFull => &[LogDropReason::Blocked],
        DropReason::WriteFailed => &[LogDropReason::StorageFull, LogDropReason::Closed, LogDropReason::Io],
        // The other reasons apply to senders only, and lines are not sent.
        _ => &[],
    };
    let lost =
        LogSink::ALL.iter().flat_map(|sink| reasons.iter().map(|reason| log.dropped(*sink, *reason).lines));
    lost.sum()
}

fn report_process(telemetry: &Telemetry) {
    let last: Arc<Mutex<Option<(Instant, ProcessSample)>>> = Arc::default();
    let sample = move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, sample)) if at.elapsed() < PROCESS_SAMPLE_AGE => Some(sample),
            _ => {
                *last = ProcessSample::read().map(|sample| (Instant::now(), sample));
                last.map(|(_, sample)| sample)
            }
        }
    };
    let meter = telemetry.meter();
    let read = sample.clone();
    meter.observe(&builtin::PROCESS_CPU_TIME, move |mode| {
        let sample = read()?;
        Some(match mode {
            CpuMode::User => sample.cpu_user.as_secs_f64(),
            CpuMode::System => sample.cpu_system.as_secs_f64(),
        })
    });
    let read = sample.clone();
    meter.observe(&builtin::PROCESS_MEMORY_USAGE, move |()| Some(read()?.memory_usage as f64));
    let read = sample.clone();
    meter.observe(&builtin::PROCESS_MEMORY_VIRTUAL, move |()| Some(read()?.memory_virtual as f64));
    let read = sample.clone();
    meter.observe(&builtin::PROCESS_THREAD_COUNT, move |()| Some(read()?.threads as f64));
    let read = sample.clone();
    meter.observe(&builtin::PROCESS_FILE_DESCRIPTORS, move |()| Some(read()?.file_descriptors as f64));
    let read = sample.clone();
    meter.observe(&builtin::PROCESS_FILE_DESCRIPTOR_LIMIT, move |()| {
        Some(read()?.file_descriptor_limit as f64)
    });
    meter.observe(&builtin::PROCESS_UPTIME, move |()| Some(sample()?.uptime.as_secs_f64()));
}
