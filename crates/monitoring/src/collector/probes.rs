//! Probes: requests by the collector itself, so that an outage is noticed even without users. They
//! check whether the API responds, and whether the public address (proxy, TLS, DNS) leads to it.
//!
//! Alloy probes with the blackbox exporter, the Collector with the receiver `httpcheck`. The
//! receiver's metrics are translated to the exporter's, so rules and dashboards use one set of
//! names.

use catalogue::recorded::resource;
use signal::ClosedSet;
use signal::metric::{Label, MetricDescription};

use super::allow_list::{Conditions, Statements, list};
use crate::foreign::{
    PROBE_CERTIFICATE_EXPIRY, PROBE_DURATION, PROBE_JOB, PROBE_STATUS, PROBE_SUCCESS, Probe,
};

/// The API's address for the collector, past the proxy.
const API: &str = "http://api:8080";

/// Variable with the public address of the API; the application uses the same. If it is not set,
/// only the API itself is probed.
pub(super) const PUBLIC_URL_VARIABLE: &str = "SOCIALIZE_PUBLIC_URL";
/// Replacement target with discarded results, because neither program can omit a target.
pub(super) const NO_PUBLIC_URL: &str = API;

/// Interval of probes, the same as that of scrapes.
pub(super) const INTERVAL: &str = "15s";
/// Timeout of probes; users do not wait longer.
pub(super) const TIMEOUT: &str = "5s";

/// Returns the URL of the direct probe: readiness, which includes the database.
pub(super) fn ready_url() -> String {
    format!("{API}/health/ready")
}

/// Path of the public probe: liveness. It ignores the database, so that one cause triggers one
/// alert.
pub(super) const PUBLIC_PATH: &str = "/health/live";

/// Returns the target that replaces a missing public URL.
pub(super) fn discarded_url() -> String {
    format!("{NO_PUBLIC_URL}{PUBLIC_PATH}")
}

/// Name of the receiver's status metric.
const STATUS: &str = "httpcheck.status";
const DURATION: &str = "httpcheck.duration";
const CERTIFICATE: &str = "httpcheck.tls.cert_remaining";

/// Returns the metrics that a probe may send.
fn metrics() -> [MetricDescription; 4] {
    [
        PROBE_SUCCESS.description(),
        PROBE_STATUS.description(),
        PROBE_DURATION.description(),
        PROBE_CERTIFICATE_EXPIRY.description(),
    ]
}

/// Translates the receiver's metrics to the exporter's. A status of the receiver is five points,
/// one for each class of statuses. At most one of them is 1, and it has the status as an attribute.
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
                    "set(datapoint.value_int, datapoint.attributes[\"http.status_code\"]) \
                     where metric.name == \"{status}\" and datapoint.attributes[\"http.status_code\"] != nil"
                ),
                format!(
                    "set(datapoint.value_int, 0) \
                     where metric.name == \"{success}\" and datapoint.attributes[\"http.status_class\"] != \"2xx\""
                ),
                format!(
                    "set(datapoint.value_double, Double(datapoint.value_int) / 1000.0) \
                     where metric.name == \"{duration}\""
                ),
                format!(
                    "set(datapoint.value_int, datapoint.value_int + UnixSeconds(Now())) \
                     where metric.name == \"{expiry}\""
                ),
            ],
        },
    ]
}

/// Drops results of the target that replaces a missing public URL.
pub(super) fn discarded() -> Conditions {
    let condition = format!(r#"datapoint.attributes["http.url"] == "{}""#, discarded_url());
    Conditions { context: "datapoint", conditions: vec![condition] }
}

/// Drops the exporter's other metrics: phases, lengths, versions.
pub(super) fn other_metrics() -> Conditions {
    let names = metrics().map(|metric| metric.name);
    let condition = format!("not ContainsValue({}, metric.name)", list(names));
    Conditions { context: "metric", conditions: vec![condition] }
}

/// Keeps the name of the probe and removes its address.
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
                // The unit would become part of the name.
                r#"set(metric.unit, "")"#.to_owned(),
                r#"set(metric.description, "")"#.to_owned(),
                // Merges the points of the classes of statuses. The receiver also reports the end
                // of a certificate twice, a second apart.
                format!(r#"aggregate_on_attributes("max", ["{}"])"#, Probe::KEY),
            ],
        },
    ]
}
