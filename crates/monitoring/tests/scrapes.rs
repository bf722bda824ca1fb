//! Compares metrics that Prometheus scrapes from other programs with those of the application.

use std::collections::BTreeSet;

use catalogue::metrics;
use monitoring::{files, foreign};
use signal::ClosedSet;

/// Page of a real Alloy that ran deploy/alloy/config.alloy.
const ALLOY: &str = include_str!("fixtures/alloy_metrics.txt");

/// Suffixes of a histogram's series.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

fn prometheus() -> String {
    let path = files::repository().join("deploy/prometheus/prometheus.yml");
    std::fs::read_to_string(path).expect("the configuration of Prometheus")
}

/// Names of all series of a page in the Prometheus text format.
fn names(page: &str) -> BTreeSet<&str> {
    let series = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    series.map(|line| line.split(['{', ' ']).next().unwrap_or_default()).collect()
}

/// Name of the application's metric that a series belongs to, if there is one.
fn metric_of_ours(series: &str) -> Option<String> {
    let whole = PARTS.iter().find_map(|part| series.strip_suffix(part));
    let names = metrics::all().into_iter().map(|metric| metric.prometheus_name());
    names.into_iter().find(|name| name == series || whole == Some(name))
}

#[test]
fn every_scrape_drops_the_names_of_the_application() {
    let text = prometheus();
    let expected = foreign::names_of_ours();
    let rule = format!(
        "      - &not-ours\n        source_labels: [__name__]\n        regex: {expected}\n        action: drop\n"
    );
    assert!(text.contains(&rule), "prometheus.yml needs this regular expression:\n{expected}");
    let (_, scrapes) = text.split_once("\nscrape_configs:\n").expect("scrapes");
    let jobs: Vec<&str> = scrapes.split("  - job_name: ").skip(1).collect();
    assert!(jobs.len() >= foreign::ScrapeJob::ALL.len());
    for job in jobs {
        assert!(job.contains("not-ours"), "the names of the application are not dropped from: {job}");
    }
}

#[test]
fn the_expression_has_every_name_of_the_catalogue() {
    let expression = foreign::names_of_ours();
    let (namespaces, names) = expression.split_once("_.+|").expect("namespaces and names");
    let list = |text: &str| -> Vec<String> {
        let (list, _) = text.trim_start_matches('(').split_once(')').expect("a list");
        list.split('|').map(str::to_owned).collect()
    };
    let (namespaces, names) = (list(namespaces), list(names));
    for metric in metrics::all() {
        let name = metric.prometheus_name();
        let of_namespace = namespaces.iter().any(|namespace| name.starts_with(&format!("{namespace}_")));
        assert!(of_namespace || names.contains(&name), "{name}");
    }
    // Metrics of other programs that rules and dashboards use are kept.
    for metric in foreign::all() {
        let name = metric.description.name;
        let of_namespace = namespaces.iter().any(|namespace| name.starts_with(&format!("{namespace}_")));
        assert!(!of_namespace && metric_of_ours(name).is_none(), "{name}");
    }
}

/// Without relabelling, queries that omit the job would count these as the application's.
#[test]
fn alloy_has_metrics_with_names_of_the_application() {
    let shared: BTreeSet<String> = names(ALLOY).into_iter().filter_map(metric_of_ours).collect();
    assert_eq!(
        Vec::from_iter(shared),
        ["http_client_request_duration_seconds", "http_server_request_duration_seconds"]
    );
}

/// Tests run an OpenTelemetry Collector, operators run Alloy: the names must be equal.
#[test]
fn alloy_has_the_metrics_that_rules_need_of_a_collector() {
    let there = names(ALLOY);
    let of_collectors =
        foreign::all().into_iter().filter(|metric| metric.description.name.starts_with("otelcol_"));
    let needed: Vec<&str> =
        of_collectors.filter(|metric| metric.always_there).map(|metric| metric.description.name).collect();
    assert!(!needed.is_empty());
    for name in needed {
        assert!(there.contains(name), "Alloy has no {name}");
    }
    let memory = foreign::ALLOY_MEMORY.description();
    assert!(there.contains(memory.name), "{}", memory.name);
}
