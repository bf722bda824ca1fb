//! The dashboards as Grafana reads them, and whether each query of each panel returns data.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::prometheus::{Prometheus, get, now};
use crate::strangers;

/// Queries that may return nothing, by title of the panel and beginning of the query, each with its reason.
const MAY_SHOW_NOTHING: &[(&str, &str, &str)] = &[
    ("", "vector(0) unless", "it is a panel's zero for when its other query has nothing to show"),
    ("Dropped by the processes", "", "it lists what was lost, and nothing may be lost here"),
    ("Affected", "", "what fails here fails before it is known who asks"),
    ("Organizations with most failed requests", "", "the same"),
    ("Users with most failed requests", "", "the same"),
];

/// Dashboards without data in this test, each with its reason.
const SHOW_NOTHING: &[(&str, &str)] = &[
    ("request", "nobody wrote an id into its box"),
    (
        "infrastructure",
        "only Alloy has these exporters; crates/monitoring/tests/exporters.rs compares with what they show",
    ),
];

/// Number of points that Grafana requests, about one per pixel of the panel.
const POINTS_OF_A_PANEL: u32 = 1_000;

/// Interval of scrapes and exports, which is the smallest step.
const SHORTEST_STEP: Duration = Duration::from_secs(15);

pub(crate) struct PanelQuery {
    pub(crate) dashboard: String,
    pub(crate) panel: String,
    source: Source,
    query: String,
    /// Distance between two points; `None` for a panel with a single value.
    step: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Prometheus,
    Loki,
    Tempo,
}

/// Result of a query.
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
            collect(&dashboard["panels"], &name, &dashboard, &mut queries);
        }
        queries
    }

    fn may_show_nothing(&self) -> bool {
        SHOW_NOTHING.iter().any(|(dashboard, _)| self.dashboard == *dashboard)
            || MAY_SHOW_NOTHING
                .iter()
                .any(|(panel, query, _)| self.panel.starts_with(panel) && self.query.starts_with(query))
    }

    /// Sends the query as Grafana would; an error if it returns nothing.
    pub(crate) async fn ask(&self, prometheus: &Prometheus) -> Result<Outcome, String> {
        let started = Instant::now();
        let series = match self.source {
            Source::Prometheus => {
                let series = match self.step {
                    Some(step) => prometheus.points_lately(&self.query, step).await?,
                    None => prometheus.points_now(&self.query).await?,
                };
                let finite = series.iter().flatten().copied().filter(|value| value.is_finite());
                let largest = finite.fold(0.0, f64::max);
                assert!(
                    largest < strangers::IMPOSSIBLE,
                    "another service is counted: {largest} in {}",
                    self.describe()
                );
                series.len()
            }
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
                self.assert_ours(&body);
                body["data"]["result"].as_array().map_or(0, Vec::len)
            }
            Source::Tempo => {
                let (start, end) = ((now() - 900).to_string(), now().to_string());
                let parameters = [("q", &*self.query), ("start", &*start), ("end", &*end), ("limit", "20")];
                let body = get(&prometheus.client, "http://tempo:3200/api/search", &parameters).await?;
                self.assert_ours(&body);
                body["traces"].as_array().map_or(0, Vec::len)
            }
        };
        if series == 0 && !self.may_show_nothing() {
            return Err("no data".to_owned());
        }
        Ok(Outcome { dashboard: self.dashboard.clone(), series, took: started.elapsed() })
    }

    /// Panics if lines or traces of another service are shown.
    fn assert_ours(&self, shown: &Value) {
        assert!(!strangers::is_in(shown), "another service is shown in {}", self.describe());
    }

    /// Location and text of the query.
    pub(crate) fn describe(&self) -> String {
        format!("{} / {}: {:?}: {}", self.dashboard, self.panel, self.source, self.query)
    }
}

fn collect(panels: &Value, name: &str, dashboard: &Value, queries: &mut Vec<PanelQuery>) {
    for panel in panels.as_array().into_iter().flatten() {
        // A collapsed row contains its panels.
        collect(&panel["panels"], name, dashboard, queries);
        let title = panel["title"].as_str().unwrap_or_default();
        // The panel's time range when its dashboard is opened.
        let from = dashboard["time"]["from"].as_str().and_then(|from| from.strip_prefix("now-"));
        let range = panel["timeFrom"].as_str().or(from).map(duration).expect("a time range");
        let shortest = panel["interval"].as_str().map_or(SHORTEST_STEP, duration);
        let step = shortest.max(range / POINTS_OF_A_PANEL).max(SHORTEST_STEP);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let datasource = target["datasource"]["uid"].as_str().or(panel["datasource"]["uid"].as_str());
            let source = match datasource {
                Some("prometheus") => Source::Prometheus,
                Some("loki") => Source::Loki,
                Some("tempo") => Source::Tempo,
                other => panic!("{name}: {title} has the data source {other:?}"),
            };
            let query = target["expr"].as_str().or(target["query"].as_str());
            let query = query.unwrap_or_else(|| panic!("{name}: {title} has a target without a query"));
            queries.push(PanelQuery {
                dashboard: name.to_owned(),
                panel: title.to_owned(),
                source,
                query: fill_in(query, dashboard, range, step),
                step: (target["instant"] != true).then_some(step),
            });
        }
    }
}

/// Grafana writes these as one number and one unit.
fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => panic!("{text} is no duration"),
    };
    Duration::from_secs(seconds * number.parse::<u64>().expect("a number"))
}

/// Replaces variables by their initial values.
fn fill_in(query: &str, dashboard: &Value, range: Duration, step: Duration) -> String {
    let rate_interval = (step + SHORTEST_STEP).max(SHORTEST_STEP * 4);
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let mut variables = vec![
        ("__rate_interval", seconds(rate_interval)),
        ("__interval_ms", step.as_millis().to_string()),
        ("__interval", seconds(step)),
        ("__range_ms", range.as_millis().to_string()),
        ("__range_s", range.as_secs().to_string()),
        ("__range", seconds(range)),
        ("__auto", seconds(step)),
    ];
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let current = &variable["current"]["value"];
        let value = current.as_str().or(current[0].as_str()).unwrap_or("$__all");
        let all = variable["allValue"].as_str().unwrap_or(".*");
        let value = if value == "$__all" { all } else { value };
        variables.push((variable["name"].as_str().expect("a name"), value.to_owned()));
    }
    // The longest name first, because one may be a prefix of another.
    variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    variables.iter().fold(query.to_owned(), |query, (name, value)| {
        let forms = [format!("${{{name}:regex}}"), format!("${{{name}}}"), format!("${name}")];
        forms.iter().fold(query, |query, form| query.replace(form, value))
    })
}
