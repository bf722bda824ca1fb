//! `docs/METRICS.md`: every metric with its names, labels, values, and the question that it
//! answers.

use std::fmt::Write;

use catalogue::{metrics, scopes};
use signal::instrumentation_scope::of_metric;
use signal::metric::{MetricDescription, MetricKind, prometheus_label};

use crate::wrap::wrapped;

/// Maximum number of values that are listed; more are counted instead.
const MOST_VALUES_LISTED: usize = 30;

/// Outcomes of a route's method besides the statuses of its API document: cancelled by the client,
/// four kinds of server error, and an undocumented status.
const UNDOCUMENTED_OUTCOMES: usize = 6;

/// Series of a process that serves the API and leaves jobs to others. A test of the application
/// counts them, with those of gauges that have no value yet.
pub const SERIES_PER_API_PROCESS: usize = 1_517;

/// Series of a process that only works on jobs. The same test counts them.
pub const SERIES_PER_WORKER: usize = 552;

const INTRODUCTION: &str = "\
# Metrics

<!-- Rendered by `cargo run -p monitoring -- write` from crates/catalogue/src/metrics.rs. -->

Which metrics does Socialize emit, and what do they say?

";

const CONVENTIONS: &str = "
A process has all its series from the start, at zero. Before it accepts requests or jobs, it sends
them once, so that the first event of each is an increase; it waits for that at most a second. If
the collector does not accept this first export, events before the next one are in the total, but no
query sees them as an increase.

Three kinds of series begin with their first event: each way in which a database operation fails,
HEAD on a route, and a second scheme. Their first export also contains a zero with the time of the
export before, so the first event is an increase here, too, unless that export is lost.

A gauge has no series while its value is unknown. An empty label is absent. Labels are never ids and
never text that users wrote.

Headings give the name in OpenTelemetry, and beside it the name in Prometheus.

## Histograms

A histogram is one series in Prometheus, a native histogram with eight buckets to a factor of two.
Powers of two are bounds, so `histogram_fraction(0, 1, …)` is exact. Between them a quantile is wrong
by a few percent at most. Zero has a bucket of its own. Values below a quarter of a nanosecond or
above 2^40 seconds are in the outermost bucket.

| question | query |
|---|---|
| how many, by route | `sum by (http_route) (histogram_count(increase(http_server_request_duration_seconds[5m])))` |
| how many seconds | `sum(histogram_sum(rate(http_server_request_duration_seconds[5m])))` |
| 95th percentile | `histogram_quantile(0.95, sum(rate(http_server_request_duration_seconds[5m])))` |
| share within a second | `histogram_fraction(0, 1, sum(rate(http_server_request_duration_seconds[5m])))` |

Prefer OTLP to scraping. The `/metrics` page has classic histograms, with the suffixes `_bucket`,
`_count` and `_sum` and the label `le`: a bucket for each power of two within the bounds below, so
quantiles are exact only to a factor of two. It shows only series that counted something, so a
scraper does not see the first event of a series as an increase.

For a backend without exponential histograms set
`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=explicit_bucket_histogram`. OTLP then carries
the classic buckets of every series. Prometheus then stores thirteen times as many series, and the
dashboards, rules and queries here find no histogram, unless you set
`otlp: {convert_histograms_to_nhcb: true}`. Then each histogram is one series again and all of them
work, with quantiles exact to a factor of two.

## All metrics

";

/// Renders the document.
pub fn render() -> String {
    let metrics = metrics::all();
    let mut out = INTRODUCTION.to_owned();
    line(&mut out, &format!("- Series per API process: {SERIES_PER_API_PROCESS}"));
    line(&mut out, &format!("- Series per worker: {SERIES_PER_WORKER}"));
    out.push_str(CONVENTIONS);
    out.push_str("| metric | in Prometheus | kind | question |\n|---|---|---|---|\n");
    for metric in &metrics {
        line(
            &mut out,
            &format!(
                "| [`{}`](#{}) | `{}` | {} | {} |",
                metric.name,
                anchor(metric.name),
                metric.prometheus_name(),
                kind(metric.kind),
                metric.question
            ),
        );
    }
    render_bound(&mut out, &metrics);
    for metric in &metrics {
        render_metric(&mut out, metric);
    }
    wrapped(&out)
}

/// Returns the number of series in one process of all metrics whose labels are closed by type.
pub fn closed_series(metrics: &[MetricDescription]) -> usize {
    metrics.iter().filter_map(|metric| metric.all_series).map(|all| all().len()).sum()
}

fn render_bound(out: &mut String, metrics: &[MetricDescription]) {
    let open = metrics.iter().filter(|metric| metric.all_series.is_none());
    let open: Vec<String> = open.map(|metric| format!("`{}`", metric.name)).collect();
    line(
        out,
        &format!(
            "
## How many series

One process has at most {} series of the metrics whose labels are closed when it is compiled,
whatever its users do. The labels of {} are closed when it starts. Of these only
`http.server.request.duration` is large: each method of a route has a series for each status below
500 that the API's document lists for it, and for {UNDOCUMENTED_OUTCOMES} other ends. Nothing that a
client sends adds a series.",
            closed_series(metrics),
            open.join(", "),
        ),
    );
}

fn render_metric(out: &mut String, metric: &MetricDescription) {
    line(out, &format!("\n## {}\n\n{}\n", metric.name, metric.help));
    line(out, &format!("- Question: {}", metric.question));
    line(out, &format!("- Prometheus: `{}`", metric.prometheus_name()));
    line(out, &format!("- Kind: {}, in `{}`", kind(metric.kind), metric.unit.as_str()));
    let scope = of_metric(metric.name, scopes::OF_METRICS).name();
    line(out, &format!("- Instrumentation scope: `{scope}`"));
    if !metric.bounds.is_empty() {
        let bounds: Vec<String> = metric.bounds.iter().map(f64::to_string).collect();
        line(out, &format!("- Classic buckets end at {} seconds", bounds.join(", ")));
    }
    for key in metric.label_keys {
        line(out, &format!("- Label `{key}` (`{}`): {}", prometheus_label(key), values(metric, key)));
    }
    if let Some(all_series) = metric.all_series {
        let series = all_series().len();
        line(out, &format!("- Series per process: {series}"));
    }
}

fn values(metric: &MetricDescription, key: &str) -> String {
    let Some(all_series) = metric.all_series else {
        return "closed when the process starts".to_owned();
    };
    let combinations = all_series();
    let mut values: Vec<&str> = Vec::new();
    let mut absent = false;
    for labels in &combinations {
        match labels.iter().find(|(name, _)| *name == key) {
            Some((_, value)) if !values.contains(&value.as_str()) => values.push(value),
            Some(_) => {}
            None => absent = true,
        }
    }
    let listed = match values.len() {
        0..=MOST_VALUES_LISTED => {
            values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        }
        count => format!("{count} values, such as `{}`", values[0]),
    };
    match values.len() {
        0 => "of failures only, whose series begin with the first".to_owned(),
        _ if absent => format!("{listed}, or absent"),
        _ => listed,
    }
}

fn kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::UpDownCounter => "up-down counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}

/// Returns the anchor that Markdown renderers derive from a heading.
fn anchor(heading: &str) -> String {
    heading.chars().filter(|c| c.is_alphanumeric() || *c == '_' || *c == '-').collect()
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_section() {
        let document = render();
        for metric in metrics::all() {
            assert!(document.contains(&format!("\n## {}\n", metric.name)), "{}", metric.name);
            assert!(document.contains(&metric.prometheus_name()), "{}", metric.name);
        }
    }
}
