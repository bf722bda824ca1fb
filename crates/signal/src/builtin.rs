//! Metrics that `telemetry` itself records, and the closed sets that label them.

use crate::metric::{
    ClosedAtStart, CounterMetric, DURATION_BOUNDS, GaugeMetric, IsHistogram, IsUpDownCounter, Metric,
    MetricKind, Unit, UpDownCounterMetric,
};
use crate::{ClosedSet, Level};

/// The kinds of telemetry that leave the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ClosedSet)]
#[label("signal")]
pub enum Signal {
    /// Log lines.
    Logs,
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
}

/// Values of `cpu.mode` in the semantic conventions that a process can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ClosedSet)]
#[label("cpu.mode")]
pub enum CpuMode {
    /// Time in the program's own code.
    User,
    /// Time in the kernel on behalf of the program.
    System,
}

/// Reasons why a recorded item never arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ClosedSet)]
#[label("reason")]
pub enum DropReason {
    /// The in-process buffer was full.
    BufferFull,
    /// The queue of the sender, or the log file, was full.
    QueueFull,
    /// It is larger than a collector accepts in one request.
    TooLarge,
    /// A newer value replaced a metric point before it could be sent.
    Superseded,
    /// The collector was reachable but did not accept it within the permitted number of attempts.
    RetriesExhausted,
    /// The collector rejected it permanently.
    Rejected,
    /// Writing failed: the disk is full or the output is closed.
    WriteFailed,
    /// The process ended before it could be sent.
    Shutdown,
}

crate::metrics! {
    /// Resource usage of the process.
    pub const PROCESS;

    /// Seconds since the process started.
    pub const PROCESS_UPTIME: GaugeMetric = GaugeMetric::gauge(
        "process.uptime",
        Unit::Seconds,
        "Time since the process started.",
        "Since when is it up?",
    );

    /// CPU time in seconds, by mode.
    pub const PROCESS_CPU_TIME: CounterMetric<CpuMode> = CounterMetric::counter(
        "process.cpu.time",
        Unit::Seconds,
        "CPU time that the process has used.",
        "How busy is the process?",
    );

    /// Resident memory in bytes.
    pub const PROCESS_MEMORY_USAGE: UpDownCounterMetric = UpDownCounterMetric::up_down_counter(
        "process.memory.usage",
        Unit::Bytes,
        "Physical memory in use.",
        "Does memory grow?",
    );

    /// Virtual memory in bytes.
    pub const PROCESS_MEMORY_VIRTUAL: UpDownCounterMetric = UpDownCounterMetric::up_down_counter(
        "process.memory.virtual",
        Unit::Bytes,
        "Committed virtual memory.",
        "Does memory grow?",
    );

    /// Number of threads of the process.
    pub const PROCESS_THREAD_COUNT: UpDownCounterMetric = UpDownCounterMetric::up_down_counter(
        "process.thread.count",
        Unit::Count("{thread}"),
        "Threads of the process.",
        "Do threads leak?",
    );

    /// Open files and sockets.
    pub const PROCESS_FILE_DESCRIPTORS: UpDownCounterMetric = UpDownCounterMetric::up_down_counter(
        "process.unix.file_descriptor.count",
        Unit::Count("{file_descriptor}"),
        "File descriptors in use.",
        "Do files or sockets leak?",
    );

    /// Maximum number of files and sockets that may be open at once.
    pub const PROCESS_FILE_DESCRIPTOR_LIMIT: UpDownCounterMetric = UpDownCounterMetric::up_down_counter(
        "process.unix.file_descriptor.limit",
        Unit::Count("{file_descriptor}"),
        "File descriptors that the process may have open at once.",
        "Do files or sockets leak?",
    );
}

crate::metrics! {
    /// Requests that this process serves.
    pub const HTTP_SERVER;

    /// Rate, errors and duration of HTTP requests served.
    pub const HTTP_SERVER_REQUEST_DURATION: Metric<ClosedAtStart, IsHistogram> = Metric::closed_at_start(
        "http.server.request.duration",
        MetricKind::Histogram,
        Unit::Seconds,
        "How long requests took until their response headers, by route, method, status and error type.",
        "What is the rate, latency and error share of requests, and which endpoints are slow?",
        &["http.request.method", "url.scheme", "http.route", "http.response.status_code", "error.type"],
        DURATION_BOUNDS,
    )
    .of_operations();

    /// HTTP requests in flight.
    pub const HTTP_SERVER_ACTIVE_REQUESTS: Metric<ClosedAtStart, IsUpDownCounter> = Metric::closed_at_start(
        "http.server.active_requests",
        MetricKind::UpDownCounter,
        Unit::Count("{request}"),
        "Requests that are being answered now.",
        "Do requests pile up?",
        &["http.request.method", "url.scheme"],
        &[],
    );
}

crate::metrics! {
    /// Calls to other services.
    pub const HTTP_CLIENT;

    /// Rate, errors and duration of HTTP requests sent to other services.
    pub const HTTP_CLIENT_REQUEST_DURATION: Metric<ClosedAtStart, IsHistogram> = Metric::closed_at_start(
        "http.client.request.duration",
        MetricKind::Histogram,
        Unit::Seconds,
        "How long calls to others took until their response headers, by kind of peer, status and error type.",
        "Do calls to others fail, and how?",
        &["http.request.method", "service.peer.name", "http.response.status_code", "error.type"],
        DURATION_BOUNDS,
    )
    .of_operations();
}

crate::metrics! {
    /// The telemetry itself, and the trace context of requests.
    pub const PIPELINE;

    /// `traceparent` headers from callers that could not be parsed.
    pub const TRACEPARENT_MALFORMED: CounterMetric = CounterMetric::counter(
        "telemetry.traceparent.malformed",
        Unit::Count("{header}"),
        "traceparent headers that were ignored because they do not follow the W3C format.",
        "Does a caller send us broken trace context?",
    );

    /// Log lines by level.
    pub const LOG_LINES: CounterMetric<Level> = CounterMetric::counter(
        "telemetry.log.lines",
        Unit::Count("{line}"),
        "Log lines written, by level.",
        "Does the application log more errors than usual?",
    );

    /// Panics anywhere in the process.
    pub const PANICS: CounterMetric = CounterMetric::counter(
        "telemetry.panics",
        Unit::Count("{panic}"),
        "Panics anywhere in the process, also those that were caught.",
        "Did a part of the program crash?",
    );

    /// Items that were recorded but will never arrive.
    pub const DROPPED: CounterMetric<(Signal, DropReason)> = CounterMetric::counter(
        "telemetry.items.dropped",
        Unit::Count("{item}"),
        "Log lines, spans and metric points that were recorded but will never arrive, by reason. A point with the \
         reason superseded costs resolution only: the newer one includes its counts.",
        "Can I trust what I see?",
    );

    /// Items that a collector accepted.
    pub const EXPORTED: CounterMetric<Signal> = CounterMetric::counter(
        "telemetry.items.exported",
        Unit::Count("{item}"),
        "Spans and metric points that the collector accepted; log lines that were written.",
        "Can I trust what I see?",
    );

    /// Failed attempts to send a batch to the collector.
    pub const EXPORT_FAILURES: CounterMetric<Signal> = CounterMetric::counter(
        "telemetry.export.failures",
        Unit::Count("{attempt}"),
        "Attempts to hand a batch to the collector that failed; most are tried again.",
        "Is the collector reachable?",
    );

    /// Bytes queued for the collector.
    pub const QUEUE_SIZE: UpDownCounterMetric<Signal> = UpDownCounterMetric::up_down_counter(
        "telemetry.queue.size",
        Unit::Bytes,
        "Encoded telemetry that waits to be handed to the collector.",
        "Is the collector keeping up?",
    );
}
