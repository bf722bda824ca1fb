//! Queries about Postgres and the host use only names that the exporters export: `exporters/` has a recorded
//! page of each.

use std::collections::{BTreeMap, BTreeSet};

use monitoring::exporters::{self, HOST_COLLECTORS, POSTGRES_COLLECTORS};
use monitoring::{dashboards, files, rules};
use signal::metric::MetricDescription;

const POSTGRES: &str = include_str!("exporters/postgres.txt");
const HOST: &str = include_str!("exporters/host.txt");

/// Each metric of a page with its label names.
fn metrics(page: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut metrics: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let keys = labels.split("\",").filter_map(|label| label.split_once("=\"")).map(|(key, _)| key);
        metrics.entry(name).or_default().extend(keys);
    }
    metrics
}

fn names(metrics: &[MetricDescription]) -> BTreeSet<String> {
    metrics.iter().map(MetricDescription::prometheus_name).collect()
}

#[test]
fn every_metric_is_on_the_page_of_its_exporter() {
    for (page, named) in [(POSTGRES, exporters::postgres()), (HOST, exporters::host())] {
        let there = metrics(page);
        for name in names(&named) {
            assert!(there.contains_key(name.as_str()), "the exporter has no {name}");
        }
    }
}

/// Every query of panels and rules for a metric of the exporters.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for (_, dashboard) in dashboards::all() {
        for panel in dashboard.panels() {
            queries.extend(panel.targets().iter().map(monitoring::grafana::Target::text));
        }
    }
    let alerts = rules::groups(monitoring::query::Scale::REAL).into_iter().flat_map(|group| group.alerts);
    queries.extend(alerts.map(|alert| alert.condition.to_string()));
    queries
}

#[test]
fn every_label_that_is_asked_for_is_on_the_page() {
    let pages = [metrics(POSTGRES), metrics(HOST)];
    let mut asked = 0;
    for query in queries() {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let keys: Vec<&BTreeSet<&str>> =
            words.filter_map(|word| pages.iter().find_map(|page| page.get(word))).collect();
        if keys.is_empty() {
            continue;
        }
        let grouped = query.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
        let grouped = grouped.flat_map(|(keys, _)| keys.split(", "));
        let chosen = query.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let chosen = chosen.flat_map(|(matchers, _)| matchers.split("\","));
        let chosen = chosen.filter_map(|matcher| matcher.split(['=', '!']).next());
        // Labels of the application's metrics, in conditions that query both.
        let ours = ["job", "dependency"];
        for key in grouped.chain(chosen).filter(|key| !ours.contains(key)) {
            assert!(keys.iter().any(|keys| keys.contains(key)), "{query}: no label {key}");
            asked += 1;
        }
    }
    assert!(asked > 10, "only {asked} labels were asked for");
}

#[test]
fn values_that_are_asked_for_are_on_the_page() {
    assert!(HOST.contains("mode=\"idle\"") && HOST.contains("mode=\"iowait\""));
    assert!(POSTGRES.contains("datname=\"template0\"") && POSTGRES.contains("datname=\"template1\""));
    assert!(POSTGRES.contains("datname=\"postgres\""));
    // No lock was waited for when the page was recorded, but the label was there.
    assert!(POSTGRES.contains("wait_event_type="));
}

#[test]
fn prometheus_keeps_what_is_named_and_nothing_else() {
    let text = std::fs::read_to_string(files::repository().join("deploy/prometheus/prometheus.yml"))
        .expect("the configuration");
    for (prefix, named) in [("pg_", exporters::postgres()), ("node_", exporters::host())] {
        let kept = text.lines().find_map(|line| line.trim().strip_prefix(&format!("regex: {prefix}")));
        let kept = format!("{prefix}{}", kept.expect("what is kept"));
        assert_eq!(kept.split('|').map(str::to_owned).collect::<BTreeSet<_>>(), names(&named));
    }
}

#[test]
fn prometheus_scrapes_the_exporters_where_alloy_has_them() {
    let read = |path: &str| std::fs::read_to_string(files::repository().join(path)).expect(path);
    let (prometheus, alloy) = (read("deploy/prometheus/prometheus.yml"), read("deploy/alloy/config.alloy"));
    for (component, label, collectors) in [
        ("prometheus.exporter.postgres", "application", POSTGRES_COLLECTORS),
        ("prometheus.exporter.unix", "host", HOST_COLLECTORS),
    ] {
        assert!(alloy.contains(&format!("\n{component} \"{label}\" {{\n")));
        assert!(
            prometheus.contains(&format!("metrics_path: /api/v0/component/{component}.{label}/metrics\n"))
        );
        for collector in collectors {
            assert!(alloy.contains(&format!("\"{collector}\",\n")), "{collector}");
        }
    }
}

/// Otherwise all builds without a commit would look alike.
#[test]
fn no_build_of_an_image_is_called_unknown() {
    for path in ["deploy/Dockerfile", "deploy/compose.yaml"] {
        let text = std::fs::read_to_string(files::repository().join(path)).expect(path);
        let lines = text.lines().filter(|line| line.contains("SOCIALIZE_COMMIT"));
        assert!(lines.clone().count() > 0);
        assert!(!lines.into_iter().any(|line| line.contains("unknown")), "{path}");
    }
}

#[test]
fn every_series_and_every_notification_says_which_deployment_it_is_about() {
    let read = |path: &str| std::fs::read_to_string(files::repository().join(path)).expect(path);
    let prometheus = read("deploy/prometheus/prometheus.yml");
    let promoted = format!(
        "promote_resource_attributes: [{}]\n",
        catalogue::recorded::resource::DEPLOYMENT_ENVIRONMENT_NAME
    );
    assert!(prometheus.contains(&promoted));
    assert!(prometheus.contains("external_labels:\n    environment: ${SOCIALIZE_ENVIRONMENT}\n"));
    let overlay = read("deploy/compose.observability.yaml");
    let (_, service) = overlay.split_once("\n  prometheus:\n").expect("the service");
    let (service, _) = service.split_once("\n\n").expect("its end");
    assert!(service.contains("SOCIALIZE_ENVIRONMENT: ${SOCIALIZE_ENVIRONMENT:-production}"));
}
