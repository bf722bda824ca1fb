//! The dashboards as Grafana reads them, and whether each query of each panel has something to show.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prometheus::{Prometheus, get, now};

/// Queries that have nothing to show in a stack that works, by dashboard and title of the panel, each with its reason.
const NOTHING_TO_SHOW: &[(&str, &str, &str)] = &[];

/// A query of a panel.
pub(crate) struct PanelQuery {
    pub(crate) dashboard: String,
    pub(crate) panel: String,
    source: Source,
    query: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Prometheus,
    Loki,
    Tempo,
}

/// What became of a query.
pub(crate) struct Outcome {
    pub(crate) dashboard: String,
    pub(crate) series: usize,
    pub(crate) took: Duration,
}

impl PanelQuery {
    /// Every query of every dashboard in the directory.
    pub(crate) fn all(directory: &Path) -> Vec<Self> {
        let mut paths: Vec<_> = std::fs::read_dir(directory)
            .expect("the directory of dashboards")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        let mut queries = Vec::new();
        for path in paths {
            let dashboard: Value =
                serde_json::from_slice(&std::fs::read(&path).expect("a dashboard")).expect("JSON");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let variables = Variables::of(&dashboard);
            collect(&dashboard["panels"], &name, &variables, &mut queries);
        }
        queries
    }

    /// Whether it is one of those that have nothing to show.
    pub(crate) fn is_excused(&self) -> bool {
        NOTHING_TO_SHOW
            .iter()
            .any(|(dashboard, panel, _)| self.dashboard == *dashboard && self.panel == *panel)
    }

    /// Asks the store as Grafana would; an error where it has nothing to show.
    pub(crate) async fn ask(&self, prometheus: &Prometheus) -> Result<Outcome, String> {
        let started = Instant::now();
        let series = match self.source {
            Source::Prometheus => prometheus.range(&self.query).await?,
            Source::Loki => {
                let (start, end) = (format!("{}000000000", now() - 900), format!("{}000000000", now()));
                let parameters = [
                    ("query", &*self.query),
                    ("start", &*start),
                    ("end", &*end),
                    ("limit", "100"),
                    ("step", "15"),
                ];
                let url = "http://loki:3100/loki/api/v1/query_range";
                let body = get(&prometheus.client, url, &parameters).await?;
                body["data"]["result"].as_array().map_or(0, Vec::len)
            }
            Source::Tempo => {
                let (start, end) = ((now() - 900).to_string(), now().to_string());
                let parameters = [("q", &*self.query), ("start", &*start), ("end", &*end), ("limit", "20")];
                let body = get(&prometheus.client, "http://tempo:3200/api/search", &parameters).await?;
                body["traces"].as_array().map_or(0, Vec::len)
            }
        };
        if series == 0 {
            return Err("no data".to_owned());
        }
        Ok(Outcome { dashboard: self.dashboard.clone(), series, took: started.elapsed() })
    }

    /// Where it is, and what it asks.
    pub(crate) fn describe(&self) -> String {
        format!("{} / {}: {:?}: {}", self.dashboard, self.panel, self.source, self.query)
    }
}

fn collect(panels: &Value, dashboard: &str, variables: &Variables, queries: &mut Vec<PanelQuery>) {
    for panel in panels.as_array().into_iter().flatten() {
        // A collapsed row holds its panels.
        collect(&panel["panels"], dashboard, variables, queries);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let datasource = target["datasource"]["uid"].as_str().or(panel["datasource"]["uid"].as_str());
            let source = match datasource {
                Some("prometheus") => Source::Prometheus,
                Some("loki") => Source::Loki,
                Some("tempo") => Source::Tempo,
                other => panic!("{dashboard}: {} has the data source {other:?}", panel["title"]),
            };
            let query = target["expr"].as_str().or(target["query"].as_str());
            let query = query
                .unwrap_or_else(|| panic!("{dashboard}: {} has a target without a query", panel["title"]));
            queries.push(PanelQuery {
                dashboard: dashboard.to_owned(),
                panel: panel["title"].as_str().unwrap_or_default().to_owned(),
                source,
                query: variables.fill_in(query),
            });
        }
    }
}

/// The variables of a dashboard with the values that they have when it is opened.
struct Variables(Vec<(String, String)>);

impl Variables {
    fn of(dashboard: &Value) -> Self {
        // What Grafana puts in for a panel that shows a quarter of an hour. No panel has bars shorter than a minute.
        let built_in = [
            ("__rate_interval", "1m"),
            ("__interval_ms", "60000"),
            ("__interval", "1m"),
            ("__range_s", "900"),
            ("__range_ms", "900000"),
            ("__range", "15m"),
            ("__auto", "1m"),
        ];
        let mut variables: Vec<(String, String)> =
            built_in.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().expect("a name").to_owned();
            let current = &variable["current"]["value"];
            let value = current.as_str().or(current[0].as_str()).unwrap_or("$__all");
            let all = variable["allValue"].as_str().unwrap_or(".*");
            variables.push((name, if value == "$__all" { all } else { value }.to_owned()));
        }
        // The longest name first: one may begin with another.
        variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self(variables)
    }

    fn fill_in(&self, query: &str) -> String {
        let mut filled = query.to_owned();
        for (name, value) in &self.0 {
            for form in [format!("${{{name}:regex}}"), format!("${{{name}}}"), format!("${name}")] {
                filled = filled.replace(&form, value);
            }
        }
        filled
    }
}
