//! Prometheus has exactly the metrics of the catalogue, under the documented names.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use catalogue::metrics;
use monitoring::foreign;
use monitoring::metrics_document::{SERIES_PER_API_PROCESS, SERIES_PER_WORKER};
use monitoring::query::Scale;
use reqwest::Client;
use signal::metric::{MetricDescription, MetricKind, Unit};

use crate::programs::{PATIENCE, eventually};
use crate::prometheus::{OURS, Prometheus};
use crate::repository;

/// The series that `docs/METRICS.md` names, by job of Prometheus. A gauge without a value has none, and
/// failures of database operations have some more.
const SERIES: [(&str, usize); 2] =
    [("socialize/socialize-api", SERIES_PER_API_PROCESS), ("socialize/socialize-worker", SERIES_PER_WORKER)];
const TOLERANCE: usize = 100;

/// Metrics that Prometheus derives from the resource of each process.
const MADE_BY_PROMETHEUS: &[&str] = &["target_info"];

/// Result of loading rules.
pub(crate) struct Rules {
    pub(crate) alerts: usize,
    pub(crate) recorded: usize,
    pub(crate) firing: Vec<String>,
}

/// Prometheus names of every catalogue metric.
pub(crate) fn documented() -> BTreeSet<String> {
    metrics::all().iter().map(MetricDescription::prometheus_name).collect()
}

/// Asserts that Prometheus has every catalogue metric and no other. Returns their number.
pub(crate) async fn check_ours(prometheus: &Prometheus) -> usize {
    let metrics = metrics::all();
    let documented = documented();
    eventually("that every metric of the catalogue is in Prometheus", async || {
        let there = prometheus.names(OURS).await?;
        let unknown: Vec<&String> = there
            .difference(&documented)
            // Recording rules are checked with the rules.
            .filter(|name| !MADE_BY_PROMETHEUS.contains(&name.as_str()) && !name.contains(':'))
            .collect();
        assert!(unknown.is_empty(), "in Prometheus, but not in the catalogue: {unknown:?}");
        let missing: Vec<&String> = documented.difference(&there).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    })
    .await;
    metrics.len()
}

/// Asserts the type and unit of every catalogue metric: Prometheus shows both as labels with this flag.
pub(crate) async fn check_types(prometheus: &Prometheus) {
    let typed = r#"group by (__name__, __type__, __unit__) ({job=~"socialize/.+", __type__!=""})"#;
    let documented: BTreeSet<TypedName> = metrics::all().iter().map(typed_name_of).collect();
    eventually("that every metric has its type and unit in Prometheus", async || {
        let mut there = BTreeSet::new();
        for series in prometheus.instant(typed).await? {
            let label = |name: &str| series["metric"][name].as_str().unwrap_or_default().to_owned();
            there.insert((label("__name__"), label("__type__"), label("__unit__")));
        }
        there.retain(|(name, _, _)| !MADE_BY_PROMETHEUS.contains(&name.as_str()));
        let wrong: Vec<&TypedName> = there.difference(&documented).collect();
        assert!(wrong.is_empty(), "in Prometheus, but not so in the catalogue: {wrong:?}");
        let missing: Vec<&TypedName> = documented.difference(&there).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    })
    .await;
}

/// Asserts that `promtool check metrics` has no complaint about the page of a process.
pub(crate) async fn check_page(client: &Client) {
    let page = client.get("http://api:9464/metrics").send().await.expect("a response");
    assert!(page.status().is_success(), "{}", page.status());
    let page = page.text().await.expect("text");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    promtool.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// A name with its type and unit, in Prometheus's terms.
type TypedName = (String, String, String);

fn typed_name_of(metric: &MetricDescription) -> TypedName {
    let kind = match metric.kind {
        MetricKind::Counter => "counter",
        // Prometheus treats every value that may fall as a gauge.
        MetricKind::UpDownCounter | MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let unit = match metric.unit {
        Unit::Seconds => "seconds",
        Unit::Bytes => "bytes",
        Unit::One | Unit::Count(_) => "",
    };
    (metric.prometheus_name(), kind.to_owned(), unit.to_owned())
}

/// Asserts that every metric of other programs exists that rules and panels use, unless it only exists after
/// a failure.
pub(crate) async fn check_foreign(prometheus: &Prometheus) -> usize {
    let expected: Vec<String> = foreign::all()
        .iter()
        .filter(|metric| metric.always_there)
        .map(|metric| metric.description.prometheus_name())
        .collect();
    eventually("that every metric of other programs is in Prometheus", async || {
        let there = prometheus.names(r#"{__name__=~".+", job!~"socialize/.+"}"#).await?;
        let missing: Vec<&String> = expected.iter().filter(|name| !there.contains(*name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    })
    .await;
    expected.len()
}

/// Number of series per metric. Their total is that of the document.
pub(crate) async fn check_series(prometheus: &Prometheus) -> Vec<(String, u64)> {
    for (job, documented) in SERIES {
        let query = format!(r#"count({{job="{job}", __name__!~"{}"}})"#, MADE_BY_PROMETHEUS.join("|"));
        let series = prometheus.number(&query).await.expect("the number of series") as usize;
        let expected = documented - TOLERANCE..=documented + TOLERANCE;
        assert!(expected.contains(&series), "{job} has {series} series, and the document says {documented}");
    }
    prometheus.series_by_name().await.expect("the series of each metric")
}

/// Failed database operations, whose series begin with the first failure.
const FAILED_OPERATIONS: &str = r#"db_client_operation_duration_seconds{error_type!=""}"#;

/// Checks that increases contain the failures of an outage of some seconds from the first one on, although
/// their series began with them.
pub(crate) async fn check_failures(prometheus: &Prometheus) {
    eventually("that all failed database operations are in an increase", async || {
        let all = prometheus.number(&format!("sum(histogram_count({FAILED_OPERATIONS}))")).await?;
        let increase = format!("sum(histogram_count(increase({FAILED_OPERATIONS}[15m])))");
        let increase = prometheus.number(&increase).await?;
        // An increase is extrapolated to the end of its range.
        let is_whole = all > 0.0 && increase > 0.95 * all && increase < 1.5 * all;
        if is_whole { Ok(()) } else { Err(format!("{all} failures, an increase of {increase}")) }
    })
    .await;
}

/// Asserts that every rule is loaded and evaluated without an error, and that the watchdog fires.
pub(crate) async fn check_rules(prometheus: &Prometheus) -> Rules {
    // Some rules are first evaluated minutes after the start. promtool has evaluated them.
    let groups = monitoring::rules::groups(Scale::REAL).into_iter();
    let seldom: Vec<&str> = groups
        .filter(|group| group.every > PATIENCE)
        .flat_map(|group| group.alerts)
        .map(|alert| alert.name)
        .collect();
    let (alerts, recorded) = rules_in_files();
    assert!(alerts > 0, "there are no alerts in deploy/prometheus/rules");
    let rules = eventually("that every rule was evaluated", async || {
        let rules = prometheus.rules().await?;
        let is_bad = |rule: &&crate::prometheus::Rule| {
            let waits = rule.health == "unknown" && seldom.contains(&rule.name.as_str());
            !(rule.health == "ok" || waits) || !rule.last_error.is_empty()
        };
        if !rules.iter().any(|rule| rule.name == "Watchdog" && rule.state == "firing") {
            return Err("the watchdog does not fire".to_owned());
        }
        let bad: Vec<String> = rules
            .iter()
            .filter(is_bad)
            .map(|rule| format!("{}: {} {}", rule.name, rule.health, rule.last_error))
            .collect();
        if bad.is_empty() { Ok(rules) } else { Err(bad.join("\n")) }
    })
    .await;
    let loaded = rules.iter().filter(|rule| rule.is_alert).count();
    assert_eq!((loaded, rules.len() - loaded), (alerts, recorded), "alerts and recording rules");
    let firing: Vec<String> =
        rules.iter().filter(|rule| rule.state == "firing").map(|rule| rule.name.clone()).collect();
    Rules { alerts, recorded, firing }
}

/// Number of alerts and recording rules in the text of the files, independent of renderer and loader.
fn rules_in_files() -> (usize, usize) {
    let directory = repository().join("deploy/prometheus/rules");
    let (mut alerts, mut recorded) = (0, 0);
    for entry in std::fs::read_dir(directory).expect("the directory of rules") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file of rules");
        let count = |key: &str| {
            text.lines().filter(|line| line.trim_start().trim_start_matches("- ").starts_with(key)).count()
        };
        alerts += count("alert:");
        recorded += count("record:");
    }
    (alerts, recorded)
}
