//! Every name that Socialize's signals can carry: resource attributes, span attributes and fields
//! of log lines.
//!
//! Any filter between the application and a store lets through these names and no others. The
//! application's tests fail if a line or a span has another name.

use std::collections::BTreeSet;

use signal::metric::Carrier;
use signal::names::{self, PIPELINE_FIELDS};

use crate::labels::Role;
use crate::{keys, metrics};

/// Names of the resource attributes that identify a process.
pub mod resource {
    /// The part of Socialize: [`service_name`](super::service_name).
    pub const SERVICE_NAME: &str = "service.name";
    /// The name shared by all parts: [`SERVICE_NAMESPACE`](super::SERVICE_NAMESPACE).
    pub const SERVICE_NAMESPACE: &str = "service.namespace";
    /// Version of the build.
    pub const SERVICE_VERSION: &str = "service.version";
    /// Identifies one process of a part.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    /// The operator's name for this deployment.
    pub const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";

    /// The operating system's number of the process.
    pub const PROCESS_PID: &str = "process.pid";
    /// Start time of the process. A number is used again, a number and a time are not.
    pub const PROCESS_CREATION_TIME: &str = "process.creation.time";
    /// The machine's name; in a container, that of the container.
    pub const HOST_NAME: &str = "host.name";
    /// The implementation of telemetry: [`TELEMETRY_SDK`](super::TELEMETRY_SDK).
    pub const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
    /// Its programming language.
    pub const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
    /// Version of the library that sends the telemetry.
    pub const TELEMETRY_SDK_VERSION: &str = "telemetry.sdk.version";

    /// All names above.
    pub const ALL: [&str; 11] = [
        SERVICE_NAME,
        SERVICE_NAMESPACE,
        SERVICE_VERSION,
        SERVICE_INSTANCE_ID,
        DEPLOYMENT_ENVIRONMENT_NAME,
        PROCESS_PID,
        PROCESS_CREATION_TIME,
        HOST_NAME,
        TELEMETRY_SDK_NAME,
        TELEMETRY_SDK_LANGUAGE,
        TELEMETRY_SDK_VERSION,
    ];
}

/// Value of `telemetry.sdk.name`. The conventions reserve `opentelemetry` for the official SDKs.
pub const TELEMETRY_SDK: &str = "socialize-telemetry";

/// Value of `service.namespace` for every process.
pub const SERVICE_NAMESPACE: &str = "socialize";

/// Returns the `service.name` of a process with this role, unless the operator sets another.
pub fn service_name(role: Role) -> &'static str {
    match role {
        Role::Serve => "socialize-api",
        Role::Work => "socialize-worker",
    }
}

/// Fields of the application's own `tracing` events, besides ids and the fields of the pipeline.
pub const EVENT_FIELDS: &[&str] = &[
    "server.address",
    "server.port",
    "operations.address",
    "operations.port",
    "service.version",
    "migrations.applied",
    "requirement",
    "loop",
    "gauge",
    "count",
    "process.pid",
    "trusted.address_peers",
    "trusted.trace_peers",
    "open_files.limit",
    "connections.limit",
    "connections.limit_of_one_client",
];

/// Punctuation that values may contain besides ASCII letters and digits. Identifiers, numbers,
/// routes and source locations need no more; prose, e-mail addresses and base64 tokens do.
pub const VALUE_PUNCTUATION: &str = "_.:/{}*-";

/// Maximum length of a value in characters. Routes are at most half as long.
pub const LONGEST_VALUE: usize = 200;

/// Returns whether a text is acceptable as the value of an attribute or a field.
pub fn is_value(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || VALUE_PUNCTUATION.contains(c);
    text.len() <= LONGEST_VALUE && text.chars().all(allowed)
}

/// Returns the labels of all metrics that this signal carries as well.
fn labels_on(carrier: Carrier) -> impl Iterator<Item = &'static str> {
    let carried = metrics::all().into_iter().filter(move |metric| metric.carrier == carrier);
    carried.flat_map(|metric| metric.label_keys).copied()
}

/// Returns every name that a span attribute can have.
pub fn span_attributes() -> BTreeSet<&'static str> {
    labels_on(Carrier::Spans).chain([names::SPAN_ATTRIBUTES, keys::NAMES].concat()).collect()
}

/// Returns every name that a field of a log line can have, besides [`names::LINE_HEAD`].
pub fn line_fields() -> BTreeSet<&'static str> {
    let names = [EVENT_FIELDS, PIPELINE_FIELDS, names::LINE_FIELDS].concat();
    labels_on(Carrier::Lines).chain(names).chain(span_attributes()).collect()
}

/// Returns every name that a label of a metric can have.
pub fn metric_labels() -> BTreeSet<&'static str> {
    metrics::all().iter().flat_map(|metric| metric.label_keys).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_dotted_snake_case() {
        let mut all = line_fields();
        all.extend(metric_labels());
        all.extend(resource::ALL);
        for name in all {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
            assert!(name.chars().all(allowed), "{name}");
        }
    }

    #[test]
    fn a_label_has_values_that_pass() {
        for metric in metrics::all() {
            for labels in metric.all_series.map(|all_series| all_series()).unwrap_or_default() {
                for (name, value) in labels {
                    assert!(is_value(&value), "{} {name}={value}", metric.name);
                }
            }
        }
        assert!(!is_value("somebody@example.com") && !is_value("two words"));
    }

    #[test]
    fn what_is_on_a_span_is_in_its_line() {
        assert!(line_fields().is_superset(&span_attributes()));
    }
}
