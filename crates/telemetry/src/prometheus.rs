//! Every instrument in the Prometheus text format, for the private operations listener.
//!
//! The format has classic histograms only. Their buckets end at powers of two here, and series that
//! never counted anything are left out. OTLP carries all of them, with eight times as many buckets.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use signal::metric::{MetricDescription, MetricKind, SeriesLabels, prometheus_label};

use crate::meter::{Distribution, FamilySnapshot, Snapshot, Value};

/// The media type of [`render`]'s output.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The first line of the page, for people who compare it with Prometheus.
const HEAD: &str = "# Histograms have a bucket for each power of two here, and series that counted nothing are left \
                    out. OTLP is complete: see docs/METRICS.md.\n";

/// Renders a snapshot as text.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(64 << 10);
    out.push_str(HEAD);
    for family in &snapshot.families {
        render_family(&mut out, family);
    }
    out
}

/// Returns the type of a metric on the page. The format reserves some suffixes for histograms, and
/// type names for the types. Names of the conventions do not respect that, so such gauges are
/// untyped.
pub fn page_type(description: &MetricDescription) -> &'static str {
    let name = description.prometheus_name();
    let kind = description.kind.prometheus_type();
    let is_reserved =
        ["_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix)) || name.contains("_gauge_");
    if kind == "gauge" && is_reserved { "untyped" } else { kind }
}

/// Compresses a page with gzip.
pub fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    // Writing to a vector cannot fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

fn render_family(out: &mut String, family: &FamilySnapshot) {
    let counted_nothing =
        |value: &Value| matches!(value, Value::Distribution(distribution) if distribution.count() == 0);
    let is_histogram = family.description.kind == MetricKind::Histogram;
    if is_histogram && family.points.iter().all(|(_, value)| counted_nothing(value)) {
        return;
    }
    let name = family.description.prometheus_name();
    let kind = page_type(&family.description);
    // Writing to a String cannot fail.
    let help = family.description.help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in &family.points {
        match value {
            Value::Integer(number) => render_sample(out, &name, labels, None, number),
            Value::Number(number) => render_sample(out, &name, labels, None, number_text(*number)),
            distribution if counted_nothing(distribution) => {}
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
    for bound in bounds {
        let within = distribution.within(*bound);
        render_sample(out, &bucket, labels, Some(&bound.to_string()), within);
    }
    let count = distribution.count();
    render_sample(out, &bucket, labels, Some("+Inf"), count);
    let seconds = distribution.sum_nanoseconds as f64 / 1e9;
    render_sample(out, &format!("{name}_sum"), labels, None, seconds);
    render_sample(out, &format!("{name}_count"), labels, None, count);
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
