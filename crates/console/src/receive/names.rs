//! Names of metrics and labels as Prometheus' OTLP receiver spells them under its strategy
//! `UnderscoreEscapingWithSuffixes`.
//!
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>

/// Kinds of metrics, by their suffixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// A sum that only increases.
    Counter,
    Gauge,
    /// Everything else.
    Other,
}

/// UCUM units and the words that Prometheus uses for them.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

const UNITS_AFTER_SLASH: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// Returns the name of a metric, or `None` if its name has no letter or digit.
pub(super) fn metric_name(name: &str, unit: &str, kind: MetricKind) -> Option<String> {
    let mut words: Vec<&str> = name.split(|c| !is_allowed(c)).filter(|word| !word.is_empty()).collect();
    let (main, per) = unit_words(unit);
    if !main.is_empty() && !words.contains(&main.as_str()) {
        words.push(&main);
    }
    if !per.is_empty() && !words.contains(&per.as_str()) {
        words.push(&per);
    }
    match kind {
        MetricKind::Counter => move_to_end(&mut words, "total"),
        MetricKind::Gauge if unit == "1" => move_to_end(&mut words, "ratio"),
        MetricKind::Gauge | MetricKind::Other => {}
    }
    let joined = words.join("_");
    match joined.chars().next() {
        None => None,
        Some(first) if first.is_ascii_digit() => Some(format!("_{joined}")),
        Some(_) => Some(joined),
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn move_to_end<'a>(words: &mut Vec<&'a str>, last: &'a str) {
    words.retain(|word| *word != last);
    words.push(last);
}

/// Returns the words for a unit and for what follows its slash. Annotations in braces, such as `{request}`,
/// have none.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |unit: &str, words: &[(&str, &str)]| {
        let unit = unit.trim();
        if unit.contains(['{', '}']) {
            return String::new();
        }
        let known = words.iter().find(|(known, _)| *known == unit).map(|(_, word)| *word);
        known.unwrap_or(unit).to_owned()
    };
    let per = match word(per, UNITS_AFTER_SLASH) {
        none if none.is_empty() => none,
        word => format!("per_{word}"),
    };
    let per = match clean(&per) {
        nothing if nothing == "per_" => String::new(),
        per => per.strip_suffix('_').map(str::to_owned).unwrap_or(per),
    };
    let main = clean(&word(main, UNITS));
    let main = if per.is_empty() { main } else { main.strip_suffix('_').map(str::to_owned).unwrap_or(main) };
    (main, per)
}

/// Replaces each run of invalid characters with one `_`, and removes leading ones.
fn clean(unit: &str) -> String {
    let mut cleaned = String::with_capacity(unit.len());
    for c in unit.chars() {
        if is_allowed(c) {
            cleaned.push(c);
        } else if !cleaned.ends_with('_') {
            cleaned.push('_');
        }
    }
    cleaned.strip_prefix('_').map(str::to_owned).unwrap_or(cleaned)
}

/// Returns the name of a label, or `None` if the attribute's name has nothing but underscores.
pub(super) fn label_name(attribute: &str) -> Option<String> {
    let name: String =
        attribute.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.chars().all(|c| c == '_') {
        return None;
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(format!("key_{name}"));
    }
    if name.starts_with('_') && !name.starts_with("__") {
        return Some(format!("key{name}"));
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use signal::metric;

    use super::*;

    #[test]
    fn metrics_are_named_as_prometheus_names_them() {
        use MetricKind::{Counter, Gauge, Other};
        let cases = [
            ("http.server.request.duration", "s", Other, "http_server_request_duration_seconds"),
            ("http.server.active_requests", "{request}", Other, "http_server_active_requests"),
            ("process.cpu.time", "s", Counter, "process_cpu_time_seconds_total"),
            ("process.memory.usage", "By", Other, "process_memory_usage_bytes"),
            ("cache.hits", "1", Counter, "cache_hits_total"),
            ("cache.hits.total", "1", Counter, "cache_hits_total"),
            ("total.errors", "1", Counter, "errors_total"),
            ("disk.free", "1", Gauge, "disk_free_ratio"),
            ("ratio.of.errors", "1", Gauge, "of_errors_ratio"),
            ("sum.of.parts", "1", Other, "sum_of_parts"),
            ("time.in.seconds.of.work", "s", Other, "time_in_seconds_of_work"),
            ("flow", "By/s", Gauge, "flow_bytes_per_second"),
            ("flow", "{packet}/s", Gauge, "flow_per_second"),
            ("flow", "By/{packet}", Gauge, "flow_bytes"),
            ("speed", "m/m", Gauge, "speed_meters_per_minute"),
            ("share", "%", Gauge, "share_percent"),
            ("odd", "a/b", Gauge, "odd_a_per_b"),
            ("odd", "a__b", Gauge, "odd_a_b"),
            ("odd", "_", Gauge, "odd"),
            ("odd", " s ", Gauge, "odd_seconds"),
            ("odd", "/", Gauge, "odd"),
            ("a..b__c", "", Gauge, "a_b_c"),
            ("3d.objects", "", Gauge, "_3d_objects"),
            ("rule:level", "", Gauge, "rule:level"),
            ("größe", "", Gauge, "gr_e"),
        ];
        for (name, unit, kind, expected) in cases {
            assert_eq!(metric_name(name, unit, kind).as_deref(), Some(expected), "{name} in {unit}");
        }
        assert_eq!(metric_name("..", "", Gauge), None);
        assert_eq!(metric_name("", "", Gauge), None);
    }

    #[test]
    fn every_metric_of_the_catalogue_has_the_name_that_the_queries_use() {
        for description in catalogue::metrics::all() {
            let kind = match description.kind {
                metric::MetricKind::Counter => MetricKind::Counter,
                metric::MetricKind::Gauge => MetricKind::Gauge,
                metric::MetricKind::UpDownCounter | metric::MetricKind::Histogram => MetricKind::Other,
            };
            let name = metric_name(description.name, description.unit.as_str(), kind);
            assert_eq!(name, Some(description.prometheus_name()), "{}", description.name);
            for key in description.label_keys {
                assert_eq!(label_name(key), Some(metric::prometheus_label(key)), "{key}");
            }
        }
    }

    #[test]
    fn labels_are_named_as_prometheus_names_them() {
        let cases = [
            ("http.route", Some("http_route")),
            ("3d", Some("key_3d")),
            ("_private", Some("key_private")),
            (".private", Some("key_private")),
            ("__reserved", Some("__reserved")),
            ("a..b", Some("a__b")),
            ("é", None),
            ("", None),
            ("___", None),
        ];
        for (attribute, expected) in cases {
            assert_eq!(label_name(attribute).as_deref(), expected, "{attribute}");
        }
    }
}
