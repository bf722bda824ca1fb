//! Every instrument in the Prometheus text format, for the private operations listener.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write;

use crate::catalogue::{SeriesLabels, prometheus_label};
use crate::meter::{Distribution, FamilySnapshot, Snapshot, Value};

/// The media type of [`render`]'s output.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders a snapshot as text.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(64 << 10);
    for family in &snapshot.families {
        render_family(&mut out, family);
    }
    out
}

fn render_family(out: &mut String, family: &FamilySnapshot) {
    let name = family.description.prometheus_name();
    let kind = family.description.kind.prometheus_type();
    // Writing to a String cannot fail.
    let help = family.description.help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in &family.points {
        match value {
            Value::Integer(number) => render_sample(out, &name, labels, None, number),
            Value::Number(number) => render_sample(out, &name, labels, None, number_text(*number)),
            Value::Distribution(distribution) => {
                render_distribution(out, &name, labels, family.description.bounds, distribution);
            }
        }
    }
}

/// Formats a number. The format spells infinity differently from Rust.
fn number_text(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    }
}

fn render_distribution(
    out: &mut String,
    name: &str,
    labels: &SeriesLabels,
    bounds: &[f64],
    distribution: &Distribution,
) {
    let bucket = format!("{name}_bucket");
    let mut cumulative = 0;
    let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&distribution.buckets) {
        cumulative += count;
        render_sample(out, &bucket, labels, Some(&bound), cumulative);
    }
    let seconds = distribution.sum_nanoseconds as f64 / 1e9;
    render_sample(out, &format!("{name}_sum"), labels, None, seconds);
    render_sample(out, &format!("{name}_count"), labels, None, cumulative);
}

fn render_sample(
    out: &mut String,
    name: &str,
    labels: &SeriesLabels,
    bucket_bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    out.push_str(name);
    let bound = bucket_bound.map(|bound| ("le", bound));
    let labels = labels.iter().map(|(key, value)| (*key, value.as_str())).chain(bound);
    let mut separator = '{';
    for (key, value) in labels {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{separator}{}=\"{value}\"", prometheus_label(key));
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}
