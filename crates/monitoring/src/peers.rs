//! The metrics of other programs that rules and dashboards name: of Prometheus, Loki, Tempo and the collector.
//!
//! They are typed like our own, so that queries are built from them alike. Nothing at compile time can know whether those
//! programs really emit them: `./test stack` looks each up in a running stack.

use strum::{IntoStaticStr, VariantArray};
use telemetry::ClosedSet;
use telemetry::catalogue::{
    CounterMetric, GaugeMetric, IsCounter, IsGauge, Label, LabelSet, Metric, MetricDescription, Unit,
};

/// A metric of another program. Queries choose it by its name alone, where those about the application also ask for its job.
pub struct ForeignMetric<L, K>(pub(crate) Metric<L, K>);

/// A gauge of another program.
pub type ForeignGauge<L> = ForeignMetric<L, IsGauge>;
/// A counter of another program.
pub type ForeignCounter<L> = ForeignMetric<L, IsCounter>;

impl<L, K> ForeignMetric<L, K> {
    /// The declaration without its label type.
    pub const fn description(&self) -> MetricDescription {
        self.0.description()
    }
}

/// Can the operator trust what he sees? Every metric here answers a part of this.
const CAN_I_TRUST: &str = "Can I trust what I see?";

/// What Prometheus scrapes: the names of its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ScrapeJob {
    /// Prometheus itself.
    Prometheus,
    /// Who tells people of alerts.
    Alertmanager,
    /// The store of log lines.
    Loki,
    /// The store of traces.
    Tempo,
    /// Alloy, or an OpenTelemetry Collector in its place.
    Collector,
    /// What operators look at.
    Grafana,
}

impl ClosedSet for ScrapeJob {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for ScrapeJob {
    const KEY: &'static str = "job";
}

/// Whom the collector sends to: the end of its exporter's name, to which Prometheus shortens it because Alloy and the Collector
/// put different words before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
pub enum Exporter {
    /// Metrics to Prometheus.
    #[strum(serialize = "prometheus")]
    Prometheus,
    /// Log lines to Loki.
    #[strum(serialize = "loki")]
    Loki,
    /// Spans to Tempo.
    #[strum(serialize = "tempo")]
    Tempo,
}

impl ClosedSet for Exporter {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Exporter {
    const KEY: &'static str = "exporter";
}

/// What the collector asks by itself, and by which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Probe {
    /// The API directly: whether it can serve.
    Ready,
    /// The API by the address that users know: whether proxy, TLS and DNS lead to it.
    Public,
}

impl ClosedSet for Probe {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Probe {
    const KEY: &'static str = "probe";
}

/// What Prometheus calls the sender of probes.
pub const PROBE_JOB: &str = "probe";

const fn gauge<L: LabelSet>(name: &'static str, unit: Unit, help: &'static str) -> ForeignGauge<L> {
    ForeignMetric(GaugeMetric::gauge(name, unit, help, CAN_I_TRUST))
}

const fn counter<L: LabelSet>(name: &'static str, unit: Unit, help: &'static str) -> ForeignCounter<L> {
    ForeignMetric(CounterMetric::counter(name, unit, help, CAN_I_TRUST))
}

/// 1 for what Prometheus could scrape.
pub const UP: ForeignGauge<ScrapeJob> =
    gauge("up", Unit::Count("{target}"), "1 while the target answers Prometheus.");

/// What waits in the queue of an exporter on the collector's disk, in bytes because ours are sized so.
pub const EXPORTER_QUEUE_SIZE: ForeignGauge<Exporter> = gauge(
    "otelcol_exporter_queue_size",
    Unit::Count("{byte}"),
    "Bytes that wait in the collector for a store.",
);

/// How much may wait.
pub const EXPORTER_QUEUE_CAPACITY: ForeignGauge<Exporter> = gauge(
    "otelcol_exporter_queue_capacity",
    Unit::Count("{byte}"),
    "Bytes that may wait in the collector for a store.",
);

/// Spans that reached Tempo.
pub const EXPORTER_SENT_SPANS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_sent_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector handed to a store.",
);

/// Metric points that reached Prometheus.
pub const EXPORTER_SENT_METRIC_POINTS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_sent_metric_points_total",
    Unit::Count("{point}"),
    "Metric points that the collector handed to a store.",
);

/// Log lines that reached Loki.
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

/// Spans that the collector took from senders.
pub const RECEIVER_ACCEPTED_SPANS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_accepted_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector took from senders.",
);

/// Log lines that the collector read and could not pass on. It reads them again.
pub const RECEIVER_REFUSED_LOG_RECORDS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_refused_log_records_total",
    Unit::Count("{line}"),
    "Log lines that the collector could not pass on and reads again.",
);

/// Spans that the collector refused. Their sender tries again for a while.
pub const RECEIVER_REFUSED_SPANS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_refused_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector refused.",
);

/// Metric points that the collector refused. Their sender tries again for a while.
pub const RECEIVER_REFUSED_METRIC_POINTS: ForeignCounter<ScrapeJob> = counter(
    "otelcol_receiver_refused_metric_points_total",
    Unit::Count("{point}"),
    "Metric points that the collector refused.",
);

/// Spans that the collector gave up. The series exists from the first one on.
pub const EXPORTER_SEND_FAILED_SPANS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_send_failed_spans_total",
    Unit::Count("{span}"),
    "Spans that the collector could not hand to a store and gave up.",
);

/// Metric points that the collector gave up. The series exists from the first one on.
pub const EXPORTER_SEND_FAILED_METRIC_POINTS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_send_failed_metric_points_total",
    Unit::Count("{point}"),
    "Metric points that the collector could not hand to a store and gave up.",
);

/// Log lines that the collector gave up. The series exists from the first one on.
pub const EXPORTER_SEND_FAILED_LOG_RECORDS: ForeignCounter<Exporter> = counter(
    "otelcol_exporter_send_failed_log_records_total",
    Unit::Count("{line}"),
    "Log lines that the collector could not hand to a store and gave up.",
);

/// Series in Prometheus' memory.
pub const HEAD_SERIES: ForeignGauge<ScrapeJob> =
    gauge("prometheus_tsdb_head_series", Unit::Count("{series}"), "Series that Prometheus holds in memory.");

/// Prometheus' blocks on disk.
pub const PROMETHEUS_BLOCKS_SIZE: ForeignGauge<ScrapeJob> =
    gauge("prometheus_tsdb_storage_blocks_bytes", Unit::Bytes, "Size of Prometheus' blocks on disk.");

/// Where Prometheus begins to delete the oldest.
pub const PROMETHEUS_RETENTION_SIZE: ForeignGauge<ScrapeJob> = gauge(
    "prometheus_tsdb_retention_limit_bytes",
    Unit::Bytes,
    "Size of blocks at which Prometheus deletes the oldest.",
);

/// Evaluations of rules that failed: alerts that could not fire.
pub const RULE_EVALUATION_FAILURES: ForeignCounter<ScrapeJob> = counter(
    "prometheus_rule_evaluation_failures_total",
    Unit::Count("{evaluation}"),
    "Evaluations of rules that failed.",
);

/// Whether Prometheus runs with the configuration that is on disk.
pub const CONFIG_RELOAD_SUCCESSFUL: ForeignGauge<ScrapeJob> = gauge(
    "prometheus_config_last_reload_successful",
    Unit::Count("{reload}"),
    "1 when Prometheus could read its configuration the last time.",
);

/// Samples appended.
pub const PROMETHEUS_SAMPLES_APPENDED: ForeignCounter<ScrapeJob> = counter(
    "prometheus_tsdb_head_samples_appended_total",
    Unit::Count("{sample}"),
    "Samples that Prometheus stored.",
);

/// Bytes of log lines that Loki took.
pub const LOKI_BYTES_RECEIVED: ForeignCounter<ScrapeJob> = counter(
    "loki_distributor_bytes_received_total",
    Unit::Count("{byte}"),
    "Bytes of log lines that Loki took.",
);

/// Log lines that Loki refused for good. The series exists from the first one on.
pub const LOKI_DISCARDED: ForeignCounter<ScrapeJob> =
    counter("loki_discarded_samples_total", Unit::Count("{line}"), "Log lines that Loki refused for good.");

/// Bytes of spans that Tempo took.
pub const TEMPO_BYTES_RECEIVED: ForeignCounter<ScrapeJob> = counter(
    "tempo_distributor_bytes_received_total",
    Unit::Count("{byte}"),
    "Bytes of spans that Tempo took.",
);

/// Spans that Tempo refused for good. The series exists from the first one on.
pub const TEMPO_DISCARDED: ForeignCounter<ScrapeJob> =
    counter("tempo_discarded_spans_total", Unit::Count("{span}"), "Spans that Tempo refused for good.");

/// Memory of each program of the stack.
pub const RESIDENT_MEMORY: ForeignGauge<ScrapeJob> =
    gauge("process_resident_memory_bytes", Unit::Bytes, "Memory in use by a program of the stack.");

/// Memory of Alloy, which does not use the common name.
pub const ALLOY_MEMORY: ForeignGauge<ScrapeJob> =
    gauge("alloy_resources_process_resident_memory_bytes", Unit::Bytes, "Memory in use by Alloy.");

/// Memory of an OpenTelemetry Collector, which does not use the common name either.
pub const COLLECTOR_MEMORY: ForeignGauge<ScrapeJob> =
    gauge("otelcol_process_memory_rss_bytes", Unit::Bytes, "Memory in use by the OpenTelemetry Collector.");

/// Whether a probe got a response of success.
pub const PROBE_SUCCESS: ForeignGauge<Probe> =
    gauge("probe_success", Unit::Count("{response}"), "1 while a probe gets a response of success in time.");

/// What a probe was answered.
pub const PROBE_STATUS: ForeignGauge<Probe> = gauge(
    "probe_http_status_code",
    Unit::Count("{status}"),
    "Status of the response to a probe; 0 where there was none.",
);

/// How long a probe took.
pub const PROBE_DURATION: ForeignGauge<Probe> =
    gauge("probe_duration_seconds", Unit::Seconds, "How long a probe took.");

/// When the certificate that a probe met ends.
pub const PROBE_CERTIFICATE_EXPIRY: ForeignGauge<Probe> = gauge(
    "probe_ssl_earliest_cert_expiry",
    Unit::Count("{second}"),
    "Unix time at which the certificate that a probe met expires.",
);

/// Namespaces that are the application's alone.
const OUR_NAMESPACES: [&str; 2] = ["socialize", "telemetry"];

/// A regular expression, anchored as Prometheus does, of every name that the application's metrics have in Prometheus.
///
/// Other programs export some of these names about themselves: Alloy's receivers and exporters have `http.server.request.duration`.
/// deploy/prometheus/prometheus.yml drops what matches from every scrape.
pub fn names_of_ours() -> String {
    let of_namespace = |name: &str| OUR_NAMESPACES.iter().any(|space| name.starts_with(&format!("{space}_")));
    let names = domain::catalogue::all().into_iter().map(|metric| metric.prometheus_name());
    let others: Vec<String> = names.filter(|name| !of_namespace(name)).collect();
    // The parts of a histogram.
    let parts = "(_bucket|_count|_sum)?";
    format!("({})_.+|({}){parts}", OUR_NAMESPACES.join("|"), others.join("|"))
}

/// A metric, and whether a healthy stack has it.
pub struct PeerMetric {
    /// Its name and labels.
    pub description: MetricDescription,
    /// Whether the series exists before the first failure, whichever collector runs.
    pub always_there: bool,
}

/// All of them, for the test that looks each up.
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

    /// Ours are OpenTelemetry's names, which Prometheus translates; theirs are Prometheus' already.
    #[test]
    fn names_are_not_translated_again() {
        for metric in all() {
            assert_eq!(metric.description.prometheus_name(), metric.description.name);
        }
    }
}
