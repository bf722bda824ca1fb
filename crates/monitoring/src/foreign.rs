//! Metrics of other programs that rules and dashboards use: Prometheus, Loki, Tempo and the
//! collector.
//!
//! They are typed like those of Socialize, so queries are built in the same way. The compiler cannot know
//! whether those programs really emit them, so `./test stack` looks each one up in a running stack.

use signal::ClosedSet;
use signal::metric::{
    CounterMetric, GaugeMetric, IsCounter, IsGauge, LabelSet, Metric, MetricDescription, Unit,
};

use crate::query::{Queried, Source};

/// A metric of another program. Queries select it by name only; queries about the application also
/// select its job.
pub struct ForeignMetric<L, K>(pub(crate) Metric<L, K>);

/// A gauge of another program, with labels `L`.
pub type ForeignGauge<L> = ForeignMetric<L, IsGauge>;
/// A counter of another program, with labels `L`.
pub type ForeignCounter<L> = ForeignMetric<L, IsCounter>;

impl<L, K> ForeignMetric<L, K> {
    /// Returns the declaration without its label type.
    pub const fn description(&self) -> MetricDescription {
        self.0.description()
    }
}

impl<L, K> Queried for ForeignMetric<L, K> {
    type Labels = L;
    type Kind = K;
    const SOURCE: Source = Source::Other;

    fn description(&self) -> MetricDescription {
        self.0.description()
    }
}

/// The question that every metric here helps to answer.
const CAN_I_TRUST: &str = "Can I trust what I see?";

/// Jobs that Prometheus scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("job")]
pub enum ScrapeJob {
    /// Prometheus itself.
    Prometheus,
    /// The program that sends notifications of alerts.
    Alertmanager,
    /// The store of log lines.
    Loki,
    /// The store of traces.
    Tempo,
    /// Alloy, or an OpenTelemetry Collector in its place.
    Collector,
    /// The program that shows the dashboards.
    Grafana,
}

/// Exporters of the collector, named by the store that they send to. Prometheus shortens the
/// exporter's name to its end, because Alloy and the Collector use different prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("exporter")]
pub enum Exporter {
    /// Sends metrics to Prometheus.
    Prometheus,
    /// Sends log lines to Loki.
    Loki,
    /// Sends spans to Tempo.
    Tempo,
}

/// Probes of the collector, by the path that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("probe")]
pub enum Probe {
    /// The API directly: can it serve requests?
    Ready,
    /// The API at its public address: do proxy, TLS and DNS lead to it?
    Public,
}

/// The `job` label of probes in Prometheus.
pub const PROBE_JOB: &str = "probe";

const fn gauge<L: LabelSet>(name: &'static str, unit: Unit, help: &'static str) -> ForeignGauge<L> {
    ForeignMetric(GaugeMetric::gauge(name, unit, help, CAN_I_TRUST))
}

const fn counter<L: LabelSet>(name: &'static str, unit: Unit, help: &'static str) -> ForeignCounter<L> {
    ForeignMetric(CounterMetric::counter(name, unit, help, CAN_I_TRUST))
}

/// 1 for each target that Prometheus scraped successfully.
pub const UP: ForeignGauge<ScrapeJob> =
    gauge("up", Unit::Count("{target}"), "1 while the target answers Prometheus.");

/// Data in the queue on disk of an exporter, in bytes, the unit of the queue's limit.
pub const EXPORTER_QUEUE_SIZE: ForeignGauge<Exporter> = gauge(
    "otelcol_exporter_queue_size",
    Unit::Count("{byte}"),
    "Bytes that wait in the collector for a store.",
);

/// Capacity of the queue of an exporter, in bytes.
pub const EXPORTER_QUEUE_CAPACITY: ForeignGauge<Exporter> = gauge(
    "otelcol_exporter_queue_capacity",
    Unit::Count("{byte}"),
    "Bytes that may wait in the collector for a store.",
);

/// Spans that Tempo accepted.
pub const EXPORTER_SENT_SPANS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_sent_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector handed to a store.",
);

/// Metric points that Prometheus accepted.
pub const EXPORTER_SENT_METRIC_POINTS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_sent_metric_points_total",
    Unit::Count("{point}"),
    "Metric points that the collector handed to a store.",
);

/// Log lines that Loki accepted.
pub const EXPORTER_SENT_LOG_RECORDS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_sent_log_records_total",
    Unit::Count("{line}"),
    "Log lines that the collector handed to a store.",
);

/// Log lines that the collector read and passed on towards Loki.
pub const RECEIVER_ACCEPTED_LOG_RECORDS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_accepted_log_records_total",
    Unit::Count("{line}"),
    "Log lines that the collector read from files.",
);

/// Spans that the collector accepted from senders.
pub const RECEIVER_ACCEPTED_SPANS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_accepted_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector took from senders.",
);

/// Log lines that the collector read but could not pass on. It reads them again.
pub const RECEIVER_REFUSED_LOG_RECORDS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_refused_log_records_total",
    Unit::Count("{line}"),
    "Log lines that the collector could not pass on and reads again.",
);

/// Spans that the collector rejected. Their sender retries for a while.
pub const RECEIVER_REFUSED_SPANS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_refused_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector refused.",
);

/// Metric points that the collector rejected. Their sender retries for a while.
pub const RECEIVER_REFUSED_METRIC_POINTS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_refused_metric_points_total",
    Unit::Count("{point}"),
    "Metric points that the collector refused.",
);

/// Spans that the collector gave up. The series begins with the first one.
pub const EXPORTER_SEND_FAILED_SPANS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_send_failed_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector could not hand to a store and gave up.",
);

/// Metric points that the collector gave up. The series begins with the first one.
pub const EXPORTER_SEND_FAILED_METRIC_POINTS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_send_failed_metric_points_total",
    Unit::Count("{point}"),
    "Metric points that the collector could not hand to a store and gave up.",
);

/// Log lines that the collector gave up. The series begins with the first one.
pub const EXPORTER_SEND_FAILED_LOG_RECORDS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_send_failed_log_records_total",
    Unit::Count("{line}"),
    "Log lines that the collector could not hand to a store and gave up.",
);

/// Number of series in Prometheus's memory.
pub const HEAD_SERIES: ForeignGauge<ScrapeJob> =
    gauge("prometheus_tsdb_head_series", Unit::Count("{series}"), "Series that Prometheus holds in memory.");

/// Size of Prometheus's blocks on disk, in bytes.
pub const PROMETHEUS_BLOCKS_SIZE: ForeignGauge<ScrapeJob> =
    gauge("prometheus_tsdb_storage_blocks_bytes", Unit::Bytes, "Size of Prometheus' blocks on disk.");

/// Size in bytes above which Prometheus deletes its oldest blocks.
pub const PROMETHEUS_RETENTION_SIZE: ForeignGauge<ScrapeJob> = gauge(
    "prometheus_tsdb_retention_limit_bytes",
    Unit::Bytes,
    "Size of blocks at which Prometheus deletes the oldest.",
);

/// Failed evaluations of rules, during which alerts could not fire.
pub const RULE_EVALUATION_FAILURES: ForeignCounter<ScrapeJob> = counter(
    "prometheus_rule_evaluation_failures_total",
    Unit::Count("{evaluation}"),
    "Evaluations of rules that failed.",
);

/// 1 while Prometheus runs with the configuration that is on disk.
pub const CONFIG_RELOAD_SUCCESSFUL: ForeignGauge<ScrapeJob> = gauge(
    "prometheus_config_last_reload_successful",
    Unit::Count("{reload}"),
    "1 when Prometheus could read its configuration the last time.",
);

/// Samples that Prometheus stored.
pub const PROMETHEUS_SAMPLES_APPENDED: ForeignCounter<ScrapeJob> = counter(
    "prometheus_tsdb_head_samples_appended_total",
    Unit::Count("{sample}"),
    "Samples that Prometheus stored.",
);

/// Bytes of log lines that Loki accepted.
pub const LOKI_BYTES_RECEIVED: ForeignCounter<ScrapeJob> = counter(
    "loki_distributor_bytes_received_total",
    Unit::Count("{byte}"),
    "Bytes of log lines that Loki took.",
);

/// Log lines that Loki rejected permanently. The series begins with the first one.
pub const LOKI_DISCARDED: ForeignCounter<ScrapeJob> =
    counter("loki_discarded_samples_total", Unit::Count("{line}"), "Log lines that Loki refused for good.");

/// Bytes of spans that Tempo accepted.
pub const TEMPO_BYTES_RECEIVED: ForeignCounter<ScrapeJob> = counter(
    "tempo_distributor_bytes_received_total",
    Unit::Count("{byte}"),
    "Bytes of spans that Tempo took.",
);

/// Spans that Tempo rejected permanently. The series begins with the first one.
pub const TEMPO_DISCARDED: ForeignCounter<ScrapeJob> =
    counter("tempo_discarded_spans_total", Unit::Count("{span}"), "Spans that Tempo refused for good.");

/// Resident memory in bytes of each program of the stack.
pub const RESIDENT_MEMORY: ForeignGauge<ScrapeJob> =
    gauge("process_resident_memory_bytes", Unit::Bytes, "Memory in use by a program of the stack.");

/// Resident memory in bytes of Alloy, which does not use the common name.
pub const ALLOY_MEMORY: ForeignGauge<ScrapeJob> =
    gauge("alloy_resources_process_resident_memory_bytes", Unit::Bytes, "Memory in use by Alloy.");

/// Resident memory in bytes of an OpenTelemetry Collector, which does not use the common name
/// either.
pub const COLLECTOR_MEMORY: ForeignGauge<ScrapeJob> =
    gauge("otelcol_process_memory_rss_bytes", Unit::Bytes, "Memory in use by the OpenTelemetry Collector.");

/// 1 if the latest probe got a successful response.
pub const PROBE_SUCCESS: ForeignGauge<Probe> =
    gauge("probe_success", Unit::Count("{response}"), "1 while a probe gets a response of success in time.");

/// HTTP status of the latest probe.
pub const PROBE_STATUS: ForeignGauge<Probe> = gauge(
    "probe_http_status_code",
    Unit::Count("{status}"),
    "Status of the response to a probe; 0 where there was none.",
);

/// Duration of the latest probe in seconds.
pub const PROBE_DURATION: ForeignGauge<Probe> =
    gauge("probe_duration_seconds", Unit::Seconds, "How long a probe took.");

/// Unix time at which the certificate that the probe received expires.
pub const PROBE_CERTIFICATE_EXPIRY: ForeignGauge<Probe> = gauge(
    "probe_ssl_earliest_cert_expiry",
    Unit::Count("{second}"),
    "Unix time at which the certificate that a probe met expires.",
);

/// Prefixes that only the application's metrics have.
const OUR_NAMESPACES: [&str; 2] = ["socialize", "telemetry"];

/// Returns an anchored regular expression that matches all names of the application's metrics in
/// Prometheus.
///
/// Other programs use some of these names for themselves: Alloy's receivers and exporters emit
/// `http.server.request.duration`. deploy/prometheus/prometheus.yml drops matching series from
/// every scrape.
pub fn names_of_ours() -> String {
    let of_namespace = |name: &str| OUR_NAMESPACES.iter().any(|space| name.starts_with(&format!("{space}_")));
    let names = catalogue::metrics::all().into_iter().map(|metric| metric.prometheus_name());
    let others: Vec<String> = names.filter(|name| !of_namespace(name)).collect();
    // Suffixes of a histogram's series.
    let parts = "(_bucket|_count|_sum)?";
    format!("({})_.+|({}){parts}", OUR_NAMESPACES.join("|"), others.join("|"))
}

/// A metric of another program, and whether a healthy stack has it.
pub struct PeerMetric {
    /// Its name and labels.
    pub description: MetricDescription,
    /// True if the series exists before the first failure, whichever collector runs.
    pub always_there: bool,
}

/// Returns all metrics of other programs, for the test that looks each one up.
pub fn all() -> Vec<PeerMetric> {
    let there = |description| PeerMetric { description, always_there: true };
    let of_one_collector = |description| PeerMetric { description, always_there: false };
    let where_it_is_configured = |description| PeerMetric { description, always_there: false };
    let after_a_failure = |description| PeerMetric { description, always_there: false };
    vec![
        there(UP.description()),
        there(EXPORTER_QUEUE_SIZE.description()),
        there(EXPORTER_QUEUE_CAPACITY.description()),
        there(EXPORTER_SENT_SPANS.description()),
        there(EXPORTER_SENT_METRIC_POINTS.description()),
        there(EXPORTER_SENT_LOG_RECORDS.description()),
        there(RECEIVER_ACCEPTED_LOG_RECORDS.description()),
        there(RECEIVER_ACCEPTED_SPANS.description()),
        there(RECEIVER_REFUSED_LOG_RECORDS.description()),
        there(RECEIVER_REFUSED_SPANS.description()),
        there(RECEIVER_REFUSED_METRIC_POINTS.description()),
        after_a_failure(EXPORTER_SEND_FAILED_SPANS.description()),
        after_a_failure(EXPORTER_SEND_FAILED_METRIC_POINTS.description()),
        after_a_failure(EXPORTER_SEND_FAILED_LOG_RECORDS.description()),
        there(HEAD_SERIES.description()),
        there(PROMETHEUS_BLOCKS_SIZE.description()),
        there(PROMETHEUS_RETENTION_SIZE.description()),
        there(RULE_EVALUATION_FAILURES.description()),
        there(CONFIG_RELOAD_SUCCESSFUL.description()),
        there(PROMETHEUS_SAMPLES_APPENDED.description()),
        there(LOKI_BYTES_RECEIVED.description()),
        after_a_failure(LOKI_DISCARDED.description()),
        there(TEMPO_BYTES_RECEIVED.description()),
        after_a_failure(TEMPO_DISCARDED.description()),
        there(RESIDENT_MEMORY.description()),
        there(PROBE_SUCCESS.description()),
        there(PROBE_STATUS.description()),
        there(PROBE_DURATION.description()),
        where_it_is_configured(PROBE_CERTIFICATE_EXPIRY.description()),
        of_one_collector(ALLOY_MEMORY.description()),
        of_one_collector(COLLECTOR_MEMORY.description()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our names are OpenTelemetry's, which Prometheus translates; theirs are already Prometheus's.
    #[test]
    fn names_are_not_translated_again() {
        for metric in all() {
            assert_eq!(metric.description.prometheus_name(), metric.description.name);
        }
    }
}
