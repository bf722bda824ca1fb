//! The collector between the application and the three stores. It is described once and rendered
//! for two programs: Grafana Alloy, which the overlay runs, and the OpenTelemetry Collector, for
//! operators who already have one.
//!
//! Both run the same code, so they behave alike. Spans and points arrive over OTLP; log lines are
//! read from files with saved positions. Then follow a memory limit, the [`allow_list`] and one
//! queue on disk for each store. Data that a store does not accept waits in its queue, even across
//! restarts of the collector.
//!
//! The collector also probes the API itself: see `probes.rs`.
//!
//! The application sends no log lines over OTLP, so no receiver accepts them: data without a path
//! cannot leak.

pub mod allow_list;
mod alloy;
mod open_telemetry;
mod probes;

pub use alloy::render as render_alloy;
pub use open_telemetry::render as render_open_telemetry;

use catalogue::labels::Role;
use catalogue::recorded;

/// First lines of both files, without the comment sign.
const HEADING: &[&str] = &[
    "Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/collector. Do not edit: change the \
     code, for the same",
    "pipeline is rendered for Grafana Alloy and for the OpenTelemetry Collector.",
];

/// Address of the OTLP receiver. It listens on all interfaces, because the application runs in another
/// container; the port is not published beyond their network.
const OTLP_GRPC: &str = "0.0.0.0:4317";
const OTLP_HTTP: &str = "0.0.0.0:4318";

/// Port of the collector's own metrics. It is Alloy's default, so one scrape configuration fits
/// both programs.
const OWN_METRICS_PORT: u16 = 12_345;

/// Directory in which each process of the application writes its own file.
const LOG_DIRECTORY: &str = "/var/log/socialize";

/// Longer lines are truncated. The application's lines are below 4 KiB.
const LONGEST_LINE: &str = "256KiB";

/// The application's format of timestamps.
const TIMESTAMP_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Above this limit the collector rejects incoming data until memory is free again. Senders wait
/// and the file reader stops.
const MEMORY_LIMIT_MIB: u32 = 256;
/// Data that may arrive between two checks of the limit.
const MEMORY_SPIKE_MIB: u32 = 64;

/// Disk space per store for data that waits while the store is down. When it is full, the collector
/// stops accepting data. Lines then wait in their files. The application keeps spans and points for
/// a while, and counts those that it has to drop.
const QUEUE_BYTES: u32 = 64 << 20;
/// A request to a store is sent at this size, or after a second.
const BATCH_MINIMUM_BYTES: u32 = 256 << 10;
/// Maximum size of a request. Stores accept a few MiB at once.
const BATCH_MAXIMUM_BYTES: u32 = 1 << 20;

/// Variable with the deployment's name; the application uses the same.
const ENVIRONMENT_VARIABLE: &str = "SOCIALIZE_ENVIRONMENT";
/// Name of the deployment if the variable is not set.
const DEFAULT_ENVIRONMENT: &str = "development";

/// The store of one kind of signal. The store's own configuration sets its retention.
struct Store {
    name: &'static str,
    endpoint: &'static str,
}

const METRIC_STORE: Store = Store { name: "prometheus", endpoint: "http://prometheus:9090/api/v1/otlp" };
const LOG_STORE: Store = Store { name: "loki", endpoint: "http://loki:3100/otlp" };
const TRACE_STORE: Store = Store { name: "tempo", endpoint: "http://tempo:14318" };
const STORES: [&Store; 3] = [&METRIC_STORE, &LOG_STORE, &TRACE_STORE];

/// Returns patterns of the log files: those of processes with a known role, such as `api.jsonl`,
/// `api-2.jsonl` and the rotated `api.000001.jsonl`. Other files in the directory are not read.
fn log_file_patterns() -> Vec<String> {
    [Role::Serve, Role::Work].map(|role| format!("{LOG_DIRECTORY}/{}*.jsonl", file_stem(role))).to_vec()
}

/// Returns the prefix of a role's files: the end of its `service.name`.
fn file_stem(role: Role) -> &'static str {
    let service = recorded::service_name(role);
    service.rsplit_once('-').map_or(service, |(_, stem)| stem)
}

/// Returns the steps that turn a line into a log record, in order. A line names neither its service
/// nor its process, but its file's name does: `api-2.jsonl` belongs to `socialize-api`, instance
/// `api-2`.
fn line_operators() -> Vec<Setting> {
    let instance = r#"split(attributes["log.file.name"], ".")[0]"#;
    let service = format!(r#""{}-" + split({instance}, "-")[0]"#, recorded::SERVICE_NAMESPACE);
    vec![
        resource_attribute(recorded::resource::SERVICE_INSTANCE_ID, instance),
        resource_attribute(recorded::resource::SERVICE_NAME, &service),
        Setting::map([
            ("type", Setting::text("json_parser")),
            // Any other target hides fields from the allow-list, or lets a hostile line crash
            // Alloy's own logging.
            ("parse_to", Setting::text("body")),
            ("on_error", Setting::text("send_quiet")),
            (
                "timestamp",
                Setting::map([
                    ("parse_from", Setting::text("body.timestamp")),
                    ("layout_type", Setting::text("gotime")),
                    ("layout", Setting::text(TIMESTAMP_LAYOUT)),
                ]),
            ),
            // The levels are OpenTelemetry's short names in lower case, so they need no mapping.
            ("severity", Setting::map([("parse_from", Setting::text("body.level"))])),
            (
                "trace",
                Setting::map([
                    ("trace_id", Setting::map([("parse_from", Setting::text("body.trace_id"))])),
                    ("span_id", Setting::map([("parse_from", Setting::text("body.span_id"))])),
                ]),
            ),
        ]),
    ]
}

fn resource_attribute(name: &str, expression: &str) -> Setting {
    Setting::map([
        ("type", Setting::text("add")),
        ("field", Setting::text(format!("resource[\"{name}\"]"))),
        ("value", Setting::text(format!("EXPR({expression})"))),
        ("on_error", Setting::text("send_quiet")),
    ])
}

/// A setting that has the same form in both programs.
enum Setting {
    Text(String),
    Map(Vec<(&'static str, Setting)>),
}

impl Setting {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn map<const N: usize>(entries: [(&'static str, Setting); N]) -> Self {
        Self::Map(entries.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_after_its_service() {
        assert_eq!(
            log_file_patterns(),
            ["/var/log/socialize/api*.jsonl", "/var/log/socialize/worker*.jsonl"]
        );
    }
}
