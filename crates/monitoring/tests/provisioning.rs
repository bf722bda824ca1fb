//! Grafana's hand-written data sources refer only to existing services and fields.

use catalogue::metrics;
use monitoring::files;

const DATA_SOURCES: &str = "deploy/grafana/provisioning/datasources/datasources.yaml";

fn data_sources() -> String {
    std::fs::read_to_string(files::repository().join(DATA_SOURCES)).expect("the data sources")
}

#[test]
fn every_metric_and_label_of_a_link_is_in_the_catalogue() {
    let text = data_sources();
    let queries: Vec<&str> = text.lines().filter(|line| line.contains("rate(")).collect();
    assert!(!queries.is_empty());
    for query in queries {
        let (_, selector) = query.split_once("rate(").expect("a rate");
        let (name, rest) = selector.split_once('{').expect("labels");
        let metric = metrics::all().into_iter().find(|metric| metric.prometheus_name() == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        let (_, attribute) = rest.split_once("__span.tags[\"").expect("an attribute of the span");
        let (attribute, _) = attribute.split_once('"').expect("its end");
        assert!(metric.label_keys.contains(&attribute), "{name} has no label {attribute}");
        assert!(catalogue::recorded::span_attributes().contains(attribute), "no span has {attribute}");
        let label = rest.split_once('=').expect("a label").0;
        assert_eq!(label, signal::metric::prometheus_label(attribute));
    }
}

#[test]
fn dashboards_find_their_data_sources() {
    let text = data_sources();
    for uid in ["prometheus", "loki", "tempo"] {
        assert!(text.contains(&format!("\n    uid: {uid}\n")), "{uid}");
    }
}
