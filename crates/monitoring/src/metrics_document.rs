//! `docs/METRICS.md`: every metric with its names, labels, values, and the question that it
//! answers.

use std::fmt::Write;

use domain::catalogue;
use telemetry::catalogue::{MetricDescription, MetricKind, prometheus_label};

/// Maximum number of values that are listed; more are counted instead.
const MOST_VALUES_LISTED: usize = 30;

/// Outcomes of a route's method besides the statuses of its API document: cancelled by the client,
/// four kinds of server error, and an undocumented status.
const UNDOCUMENTED_ANSWERS: usize = 6;

const INTRODUCTION: &str = "\
# Metrics

<!-- Rendered by `cargo run -p monitoring -- write` from crates/domain/src/catalogue.rs. -->

Every metric that Socialize emits. The first name is OpenTelemetry's; beside it is what Prometheus makes of it, and what the `/metrics` page
of the operations listener shows. A histogram is three names in Prometheus: `…_bucket` with a label `le`, `…_sum`
and `…_count`.

Every counter and histogram has all its series from the start, at zero. A process sends one collection of all of them before it
takes requests or jobs, so its first event is an increase. It waits at most a second for that. Where the collector does not take
that collection, events until the first one that it takes are counted but are no increase. A gauge has no series
while its value is not known. A label that is empty is absent. Labels are never ids and never text of users.

";

/// Renders the document.
pub fn render() -> String {
    let metrics = catalogue::all();
    let mut out = INTRODUCTION.to_owned();
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
    out
}

/// Returns the number of Prometheus series for one combination of labels.
pub fn series_per_combination(metric: &MetricDescription) -> usize {
    match metric.kind {
        // One series for each bound, plus the last bucket, sum and count.
        MetricKind::Histogram => metric.bounds.len() + 3,
        MetricKind::Counter | MetricKind::UpDownCounter | MetricKind::Gauge => 1,
    }
}

/// Returns the number of series in one process of all metrics whose labels are closed by type.
pub fn closed_series(metrics: &[MetricDescription]) -> usize {
    let series = |metric: &MetricDescription| {
        metric.all_series.map_or(0, |all| all().len() * series_per_combination(metric))
    };
    metrics.iter().map(series).sum()
}

fn render_bound(out: &mut String, metrics: &[MetricDescription]) {
    let per_answer = series_per_combination(&telemetry::builtin::HTTP_SERVER_REQUEST_DURATION.description());
    let open = metrics.iter().filter(|metric| metric.all_series.is_none());
    let open: Vec<String> = open.map(|metric| format!("`{}`", metric.name)).collect();
    line(
        out,
        &format!(
            "
## How many series

One process has at most {} series of the metrics whose labels are closed when it is compiled, whatever its users do. The labels of {} are closed
when it starts. Of these only `http.server.request.duration` is large: each method of a route has {per_answer} series for each status
below 500 that the API's document lists for it, and for {UNDOCUMENTED_ANSWERS} other ends. Nothing that a client sends adds a series.",
            closed_series(metrics),
            open.join(", "),
        ),
    );
}

fn render_metric(out: &mut String, metric: &MetricDescription) {
    line(out, &format!("\n## {}\n\n{}\n", metric.name, metric.help));
    line(out, &format!("- Question: {}", metric.question));
    line(out, &format!("- Prometheus: {}", prometheus_names(metric).join(", ")));
    line(out, &format!("- Kind: {}, in `{}`", kind(metric.kind), metric.unit.as_str()));
    if !metric.bounds.is_empty() {
        let bounds: Vec<String> = metric.bounds.iter().map(f64::to_string).collect();
        line(out, &format!("- Buckets end at {} seconds", bounds.join(", ")));
    }
    for key in metric.label_keys {
        line(out, &format!("- Label `{key}` (`{}`): {}", prometheus_label(key), values(metric, key)));
    }
    if let Some(all_series) = metric.all_series {
        let series = all_series().len() * series_per_combination(metric);
        line(out, &format!("- Series per process: {series}"));
    }
}

fn prometheus_names(metric: &MetricDescription) -> Vec<String> {
    let name = metric.prometheus_name();
    let suffixes: &[&str] = match metric.kind {
        MetricKind::Histogram => &["_bucket", "_sum", "_count"],
        MetricKind::Counter | MetricKind::UpDownCounter | MetricKind::Gauge => &[""],
    };
    suffixes.iter().map(|suffix| format!("`{name}{suffix}`")).collect()
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
    use domain::catalogue::JOB_RUN_DURATION;

    use super::*;

    #[test]
    fn every_metric_has_a_section() {
        let document = render();
        for metric in catalogue::all() {
            assert!(document.contains(&format!("\n## {}\n", metric.name)), "{}", metric.name);
            assert!(document.contains(&metric.prometheus_name()), "{}", metric.name);
        }
    }

    #[test]
    fn the_bound_counts_buckets_sums_and_counts() {
        let jobs = JOB_RUN_DURATION.description();
        let combinations = jobs.all_series.expect("its labels are closed by type")().len();
        assert_eq!(closed_series(&[jobs]), combinations * (jobs.bounds.len() + 3));
    }
}
