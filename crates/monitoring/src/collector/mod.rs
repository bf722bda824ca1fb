//! What stands between the application and the three stores, described once and rendered for two programs: Grafana Alloy, which the
//! overlay runs, and the OpenTelemetry Collector, for operators who have one already.
//!
//! Both run the same code, so what holds for one holds for the other: spans and points come in over OTLP, log lines are read from files
//! with saved positions. A limit on memory, then the [`allow_list`], then one queue on disk for each store: what a store does not take
//! waits there, also while the collector is restarted.
//!
//! It also asks by itself whether the API can be reached: see `probes.rs`.
//!
//! The application sends no log lines over OTLP, so nothing listens for them: what is not wired cannot leak.

pub mod allow_list;
mod alloy;
mod open_telemetry;
mod probes;

pub use alloy::render as render_alloy;
pub use open_telemetry::render as render_open_telemetry;

use domain::labels::Role;
use domain::recorded;

/// The first lines of both files.
const HEADING: &[&str] = &[
    "Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/collector. Do not edit: change the code, for the same",
    "pipeline is rendered for Grafana Alloy and for the OpenTelemetry Collector.",
];

/// Where OTLP is received: everywhere, because the application is in another container. Nothing is published beyond their network.
const OTLP_GRPC: &str = "0.0.0.0:4317";
const OTLP_HTTP: &str = "0.0.0.0:4318";

/// Where the collector shows metrics of its own. It is Alloy's port, so one scrape configuration fits both programs.
const OWN_METRICS_PORT: u16 = 12_345;

/// A directory in which each process of the application writes a file of its own.
const LOG_DIRECTORY: &str = "/var/log/socialize";

/// Longer lines are cut. The application's are below 4 KiB.
const LONGEST_LINE: &str = "256KiB";

/// How the application writes times.
const TIMESTAMP_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Above this the collector refuses what comes in until there is memory again; senders wait and the file reader stops.
const MEMORY_LIMIT_MIB: u32 = 256;
/// How much may come in between two checks of it.
const MEMORY_SPIKE_MIB: u32 = 64;

/// How much waits on disk for a store that is down, per store. Then the collector stops taking: lines wait in their files, the
/// application keeps spans and points for a while and counts what it has to drop.
const QUEUE_BYTES: u32 = 64 << 20;
/// A request to a store is sent when it has this size, or after a second.
const BATCH_MINIMUM_BYTES: u32 = 256 << 10;
/// Stores take a few MiB at once.
const BATCH_MAXIMUM_BYTES: u32 = 1 << 20;

/// The variable that names the deployment, the same as the application's.
const ENVIRONMENT_VARIABLE: &str = "SOCIALIZE_ENVIRONMENT";
/// What the application is called where nobody says otherwise.
const DEFAULT_ENVIRONMENT: &str = "development";

/// What is kept of all signals of one kind, and for how long is the store's own configuration.
struct Store {
    name: &'static str,
    endpoint: &'static str,
}

const METRIC_STORE: Store = Store { name: "prometheus", endpoint: "http://prometheus:9090/api/v1/otlp" };
const LOG_STORE: Store = Store { name: "loki", endpoint: "http://loki:3100/otlp" };
const TRACE_STORE: Store = Store { name: "tempo", endpoint: "http://tempo:14318" };
const STORES: [&Store; 3] = [&METRIC_STORE, &LOG_STORE, &TRACE_STORE];

/// The files that are read: those of processes of a known role, such as `api.jsonl`, `api-2.jsonl` and what was rotated to
/// `api.000001.jsonl`. Other files in the directory are nobody's business.
fn log_file_patterns() -> Vec<String> {
    [Role::Serve, Role::Work].map(|role| format!("{LOG_DIRECTORY}/{}*.jsonl", file_stem(role))).to_vec()
}

/// What the files of a role begin with: the end of its `service.name`.
fn file_stem(role: Role) -> &'static str {
    let service = recorded::service_name(role);
    service.rsplit_once('-').map_or(service, |(_, stem)| stem)
}

/// Steps that make a log record of a line, in the order in which they are taken. A line says neither which service wrote it nor which
/// process; the name of its file does: `api-2.jsonl` is the line of `socialize-api`, instance `api-2`.
fn line_operators() -> Vec<Setting> {
    let instance = r#"split(attributes["log.file.name"], ".")[0]"#;
    let service = format!(r#""{}-" + split({instance}, "-")[0]"#, recorded::SERVICE_NAMESPACE);
    vec![
        resource_attribute(recorded::resource::SERVICE_INSTANCE_ID, instance),
        resource_attribute(recorded::resource::SERVICE_NAME, &service),
        Setting::map([
            ("type", Setting::text("json_parser")),
            // Anything else keeps fields where the allow-list does not see them, or lets a hostile line crash Alloy's own logging.
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
            // The levels are OpenTelemetry's short names in lower case, which need no mapping.
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

/// A setting that both programs take alike.
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
