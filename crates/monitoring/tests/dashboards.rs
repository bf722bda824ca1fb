//! Properties of every dashboard, and validation of its queries by parsers.

use std::collections::BTreeSet;

use monitoring::dashboards;
use monitoring::rules::DashboardUid;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Every dashboard as Grafana reads it.
fn rendered() -> Vec<Value> {
    let parse = |file: monitoring::files::GeneratedFile| {
        serde_json::from_str(&file.content).expect("a dashboard is JSON")
    };
    dashboards::files().into_iter().map(parse).collect()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().expect("a dashboard has panels");
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is missing in {value}"))
}

/// Replaces variables as Grafana would.
fn without_variables(query: &str) -> String {
    query
        .replace("$__rate_interval", "1m")
        .replace("$__interval_ms", "60000")
        .replace("$__range", "3h")
        .replace("$instance", ".*")
        .replace("$environment", ".*")
        .replace("$route", ".*")
}

/// The selection at the top of a dashboard filters every query about the application.
#[test]
fn every_query_about_the_application_is_narrowed_to_what_is_chosen() {
    let mut narrowed = 0;
    for dashboard in rendered() {
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let has = |name: &str| variables.iter().any(|variable| variable["name"] == name);
        if !has("environment") {
            continue;
        }
        assert!(has("instance"), "{}", dashboard["title"]);
        let targets = panels(&dashboard).into_iter().flat_map(|panel| panel["targets"].as_array()).flatten();
        for asked in targets {
            let query = asked["expr"].as_str().or(asked["query"].as_str()).expect("a query");
            let about_us = query.matches(r#"job=~"socialize/.+""#).count();
            assert_eq!(
                about_us,
                query.matches(r#"deployment_environment_name=~"$environment",instance=~"$instance""#).count(),
                "{query}"
            );
            let lines = query.matches("service_namespace=\"socialize\"").count();
            assert_eq!(
                lines,
                query
                    .matches(r#"service_namespace="socialize", deployment_environment_name=~"$environment""#)
                    .count(),
                "{query}"
            );
            narrowed += about_us + lines;
        }
    }
    assert!(narrowed >= 8, "only {narrowed} queries are narrowed");
}

/// Dashboards over days are expensive and change little within half a minute.
#[test]
fn pages_of_days_are_not_asked_for_every_half_minute() {
    for dashboard in rendered() {
        let from = text(&dashboard["time"], "from");
        let is_days = from.ends_with('d') || from == "now-24h";
        assert!(!is_days || dashboard["refresh"] != "30s", "{}", dashboard["title"]);
    }
}

#[test]
fn every_prometheus_query_is_promql() {
    let mut queries = 0;
    for dashboard in rendered() {
        let annotations = dashboard["annotations"]["list"].as_array().into_iter().flatten();
        let targets = panels(&dashboard).into_iter().flat_map(|panel| panel["targets"].as_array()).flatten();
        for asked in targets.chain(annotations) {
            if asked["datasource"]["type"] == "prometheus" {
                let query = without_variables(text(asked, "expr"));
                assert!(!query.contains('$'), "{query}");
                promql_parser::parser::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
                queries += 1;
            }
        }
    }
    assert!(queries > 100, "only {queries} queries were found");
}

#[test]
fn identifiers_are_unique_and_panels_say_what_to_do() {
    let mut uids = BTreeSet::new();
    for dashboard in rendered() {
        assert!(uids.insert(text(&dashboard, "uid").to_owned()));
        let mut ids = BTreeSet::new();
        let all = dashboard["panels"].as_array().expect("a dashboard has panels");
        for panel in all {
            assert!(ids.insert(panel["id"].as_u64()), "{} has two ids {}", dashboard["title"], panel["id"]);
        }
        for panel in panels(&dashboard) {
            let description = text(panel, "description");
            assert!(description.ends_with('.') && description.len() > 40, "{}", panel["title"]);
            assert!(!description.contains("  "), "{}", panel["title"]);
        }
    }
}

#[test]
fn the_overview_is_one_screen() {
    // A screen of 1080 lines shows 24 rows of the grid below the bars of browser and Grafana.
    let overview = &rendered()[0];
    assert_eq!(text(overview, "uid"), DashboardUid::Overview.as_str());
    for panel in panels(overview) {
        let position = &panel["gridPos"];
        let bottom = position["y"].as_u64().unwrap_or_default() + position["h"].as_u64().unwrap_or_default();
        assert!(bottom <= 24, "{} ends in row {bottom}", panel["title"]);
    }
}

#[test]
fn links_lead_to_dashboards_that_exist() {
    let rendered = rendered();
    let uids: Vec<&str> = rendered.iter().map(|dashboard| text(dashboard, "uid")).collect();
    let mut links = 0;
    for dashboard in &rendered {
        for panel in panels(dashboard) {
            for link in panel["links"].as_array().into_iter().flatten() {
                let url = text(link, "url");
                let leads_to_dashboard = uids.iter().any(|uid| url.starts_with(&format!("/d/{uid}?")));
                assert!(leads_to_dashboard || url.starts_with("/explore?"), "{url}");
                links += 1;
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
}

#[test]
fn links_to_explore_hold_queries_that_can_be_read() {
    let mut links = 0;
    for dashboard in rendered() {
        for panel in panels(&dashboard) {
            let defaults = panel["fieldConfig"]["defaults"]["links"].as_array();
            let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
            let properties = overrides.flat_map(|one| one["properties"].as_array().into_iter().flatten());
            let of_fields = properties.filter(|one| one["id"] == "links").map(|one| one["value"].as_array());
            for link in of_fields.chain([defaults]).flatten().flatten() {
                let url = text(link, "url");
                let (_, panes) = url.split_once("/explore?schemaVersion=1&orgId=1&panes=").expect("Explore");
                let panes = percent_decode_str(panes).decode_utf8().expect("text");
                let panes: Value = serde_json::from_str(&panes).expect("JSON");
                let query = &panes["explore"]["queries"][0];
                assert_eq!(query["datasource"]["uid"], panes["explore"]["datasource"]);
                assert!(query["expr"].is_string() || query["query"].is_string(), "{query}");
                links += 1;
            }
        }
    }
    assert!(links > 5, "only {links} links were found");
}
