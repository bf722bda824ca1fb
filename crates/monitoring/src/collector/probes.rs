//! Requests that the collector makes itself, so that somebody asks when no user does: whether the API answers, and whether what users
//! reach it by (proxy, TLS, DNS) leads to it.
//!
//! Alloy asks by the blackbox exporter, the Collector by the receiver `httpcheck`. Their metrics differ, so those of the receiver are
//! translated to the exporter's: rules and dashboards know one set of names.

use domain::recorded::resource;
use telemetry::ClosedSet;
use telemetry::catalogue::{Label, MetricDescription};

use super::allow_list::{Conditions, Statements, list};
use crate::peers::{PROBE_CERTIFICATE_EXPIRY, PROBE_DURATION, PROBE_JOB, PROBE_STATUS, PROBE_SUCCESS, Probe};

/// The API as the collector reaches it, past everything that users come through.
const API: &str = "http://api:8080";

/// The variable with the address by which users reach the API, the same as the application's. Where it is not set, nothing beyond the
/// API itself is asked.
pub(super) const PUBLIC_URL_VARIABLE: &str = "SOCIALIZE_PUBLIC_URL";
/// What is asked then, and thrown away, because neither program can leave out a target.
pub(super) const NO_PUBLIC_URL: &str = API;

/// How often is asked: as often as everything else is measured.
pub(super) const INTERVAL: &str = "15s";
/// Users do not wait longer.
pub(super) const TIMEOUT: &str = "5s";

/// What is asked of the API: whether it can serve, which includes its database.
pub(super) fn ready_url() -> String {
    format!("{API}/health/ready")
}

/// What is asked through everything that users come through: whether the process lives. Its database does not matter here, so that
/// one cause has one alert.
pub(super) const PUBLIC_PATH: &str = "/health/live";

/// The address that stands for no public URL.
pub(super) fn discarded_url() -> String {
    format!("{NO_PUBLIC_URL}{PUBLIC_PATH}")
}

/// What the receiver calls them.
const STATUS: &str = "httpcheck.status";
const DURATION: &str = "httpcheck.duration";
const CERTIFICATE: &str = "httpcheck.tls.cert_remaining";

/// Whatever a probe may say.
fn metrics() -> [MetricDescription; 4] {
    [
        PROBE_SUCCESS.description(),
        PROBE_STATUS.description(),
        PROBE_DURATION.description(),
        PROBE_CERTIFICATE_EXPIRY.description(),
    ]
}

/// Makes the exporter's metrics of the receiver's. A status of the receiver is five points, one for each class of statuses, of which at
/// most one is 1 and has the status as an attribute.
pub(super) fn translation() -> Vec<Statements> {
    let probe = format!(r#"datapoint.attributes["{}"]"#, Probe::KEY);
    let (success, status) = (PROBE_SUCCESS.description().name, PROBE_STATUS.description().name);
    let (duration, expiry) = (PROBE_DURATION.description().name, PROBE_CERTIFICATE_EXPIRY.description().name);
    let renamed = |from: &str, to: &str| format!(r#"set(metric.name, "{to}") where metric.name == "{from}""#);
    vec![
        Statements {
            context: "metric",
            statements: vec![
                format!(r#"convert_sum_to_gauge() where metric.name == "{STATUS}""#),
                format!(r#"copy_metric(name="{status}") where metric.name == "{STATUS}""#),
                renamed(STATUS, success),
                renamed(DURATION, duration),
                renamed(CERTIFICATE, expiry),
            ],
        },
        Statements {
            context: "datapoint",
            statements: vec![
                format!(r#"set({probe}, "{}")"#, Probe::Public.as_str()),
                format!(
                    r#"set({probe}, "{}") where datapoint.attributes["http.url"] == "{}""#,
                    Probe::Ready.as_str(),
                    ready_url()
                ),
                format!(
                    r#"set(datapoint.value_int, datapoint.attributes["http.status_code"]) where metric.name == "{status}" and datapoint.attributes["http.status_code"] != nil"#
                ),
                format!(
                    r#"set(datapoint.value_int, 0) where metric.name == "{success}" and datapoint.attributes["http.status_class"] != "2xx""#
                ),
                format!(
                    r#"set(datapoint.value_double, Double(datapoint.value_int) / 1000.0) where metric.name == "{duration}""#
                ),
                format!(
                    r#"set(datapoint.value_int, datapoint.value_int + UnixSeconds(Now())) where metric.name == "{expiry}""#
                ),
            ],
        },
    ]
}

/// What became of no public URL.
pub(super) fn discarded() -> Conditions {
    let condition = format!(r#"datapoint.attributes["http.url"] == "{}""#, discarded_url());
    Conditions { context: "datapoint", conditions: vec![condition] }
}

/// Whatever else the exporter says: phases, lengths, versions.
pub(super) fn other_metrics() -> Conditions {
    let names = metrics().map(|metric| metric.name);
    let condition = format!("not ContainsValue({}, metric.name)", list(names));
    Conditions { context: "metric", conditions: vec![condition] }
}

/// What is kept of probes: which one it was, and nothing of the address.
pub(super) fn kept() -> Vec<Statements> {
    vec![
        Statements {
            context: "resource",
            statements: vec![
                r#"keep_keys(resource.attributes, [""])"#.to_owned(),
                format!(r#"set(resource.attributes["{}"], "{PROBE_JOB}")"#, resource::SERVICE_NAME),
            ],
        },
        Statements {
            context: "scope",
            statements: vec![
                r#"keep_keys(scope.attributes, [""])"#.to_owned(),
                r#"set(scope.name, "")"#.to_owned(),
                r#"set(scope.version, "")"#.to_owned(),
            ],
        },
        Statements {
            context: "metric",
            statements: vec![
                // It would become part of the name.
                r#"set(metric.unit, "")"#.to_owned(),
                r#"set(metric.description, "")"#.to_owned(),
                // One point of those of all classes of statuses. The receiver also says twice when a certificate ends, a second apart.
                format!(r#"aggregate_on_attributes("max", ["{}"])"#, Probe::KEY),
            ],
        },
    ]
}
