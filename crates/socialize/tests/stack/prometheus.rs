//! Client of Prometheus's HTTP API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Client;
use serde_json::Value;

const BASE: &str = "http://prometheus:9090";

/// Everything that the application itself exported, in contrast to scraped metrics.
pub(crate) const OURS: &str = r#"{job=~"socialize/.+"}"#;

/// Number of points that cover the test's time in panels with a small step.
const POINTS: u64 = 60;

pub(crate) struct Prometheus {
    pub(crate) client: Client,
}

impl Prometheus {
    /// The `data` of a response, or Prometheus's error.
    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        get(&self.client, &format!("{BASE}{path}"), parameters).await.and_then(|body| {
            let data = body.get("data").cloned();
            data.ok_or_else(|| format!("no data: {body}"))
        })
    }

    /// Sends an instant query.
    pub(crate) async fn instant(&self, query: &str) -> Result<Vec<Value>, String> {
        let data = self.get("/api/v1/query", &[("query", query)]).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// First value of an instant query.
    pub(crate) async fn number(&self, query: &str) -> Result<f64, String> {
        let result = self.instant(query).await?;
        let value = result.first().and_then(|series| series["value"][1].as_str()?.parse().ok());
        value.ok_or_else(|| format!("{query} has no value"))
    }

    /// Points of each series of an instant query.
    pub(crate) async fn points_now(&self, query: &str) -> Result<Vec<Vec<f64>>, String> {
        let result = self.instant(query).await?;
        Ok(series_with_points(result.iter().map(|series| vec![&series["value"]])))
    }

    /// Points of each series in a panel with this step.
    pub(crate) async fn points_lately(&self, query: &str, step: Duration) -> Result<Vec<Vec<f64>>, String> {
        let (step, end) = (step.as_secs(), now());
        let (start, end, step) = ((end - POINTS * step).to_string(), end.to_string(), step.to_string());
        let parameters = [("query", query), ("start", &*start), ("end", &*end), ("step", &*step)];
        let data = self.get("/api/v1/query_range", &parameters).await?;
        let series = data["result"].as_array().into_iter().flatten();
        let points = series.map(|series| {
            let numbers = series["values"].as_array().into_iter().flatten();
            numbers.chain(series["histograms"].as_array().into_iter().flatten()).collect()
        });
        Ok(series_with_points(points))
    }

    /// Names of all metrics that match.
    pub(crate) async fn names(&self, matching: &str) -> Result<BTreeSet<String>, String> {
        let data = self.get("/api/v1/label/__name__/values", &[("match[]", matching)]).await?;
        let names = data.as_array().into_iter().flatten();
        Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// Every rule with its group, health and last error.
    pub(crate) async fn rules(&self) -> Result<Vec<Rule>, String> {
        let data = self.get("/api/v1/rules", &[]).await?;
        let mut rules = Vec::new();
        for group in data["groups"].as_array().into_iter().flatten() {
            for rule in group["rules"].as_array().into_iter().flatten() {
                let text = |field: &str| rule[field].as_str().unwrap_or_default().to_owned();
                rules.push(Rule {
                    name: text("name"),
                    is_alert: rule["type"] == "alerting",
                    health: text("health"),
                    last_error: text("lastError"),
                    state: text("state"),
                });
            }
        }
        Ok(rules)
    }

    /// Number of series of each metric of Socialize, the largest first.
    pub(crate) async fn series_by_name(&self) -> Result<Vec<(String, u64)>, String> {
        let mut counted = BTreeMap::new();
        for series in self.instant(&format!("count by (__name__) ({OURS})")).await? {
            let name = series["metric"]["__name__"].as_str().unwrap_or_default().to_owned();
            let count = series["value"][1].as_str().and_then(|value| value.parse().ok()).unwrap_or_default();
            counted.insert(name, count);
        }
        let mut counted: Vec<(String, u64)> = counted.into_iter().collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(counted)
    }
}

/// Values of series whose points are pairs of time and text, without empty series. The value of a
/// histogram is its count.
fn series_with_points<'a>(series: impl Iterator<Item = Vec<&'a Value>>) -> Vec<Vec<f64>> {
    let number =
        |point: &Value| point[1].as_str().or(point[1]["count"].as_str()).and_then(|text| text.parse().ok());
    let numbers = |points: Vec<&Value>| -> Vec<f64> {
        points.into_iter().filter_map(number).filter(|number: &f64| !number.is_nan()).collect()
    };
    series.map(numbers).filter(|numbers| !numbers.is_empty()).collect()
}

/// A rule according to Prometheus.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    pub(crate) health: String,
    pub(crate) last_error: String,
    pub(crate) state: String,
}

/// Unix time in seconds, as Prometheus uses it.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Sends a `GET` request and returns the JSON of a success.
pub(crate) async fn get(client: &Client, url: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
    let mut url: url::Url = url.parse().expect("a URL");
    url.query_pairs_mut().extend_pairs(parameters);
    let answer = client.get(url.clone()).send().await.map_err(|error| format!("{url}: {error:?}"))?;
    let status = answer.status();
    let body = answer.text().await.map_err(|error| format!("{url}: {error:?}"))?;
    if !status.is_success() {
        return Err(format!("{url}: {status}: {body}"));
    }
    serde_json::from_str(&body).map_err(|error| format!("{url}: {error}: {body}"))
}
