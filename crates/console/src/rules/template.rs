//! Texts of alerts, in which Prometheus inserts labels and the value.

use std::fmt::Write;

use crate::store::metrics::Labels;

/// A text of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
    Value(Shape),
}

/// Format of the value in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `humanizePercentage`
    Percentage,
    /// `humanizeDuration`
    Duration,
    /// `humanize`
    Decimal,
    /// `humanize1024`
    Binary,
    /// `printf "%.nf"`
    Digits(usize),
}

/// Maximum number of digits.
const MOST_DIGITS: usize = 15;

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// Returns the first template expression that is not supported.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) =
                after.split_once("}}").ok_or_else(|| format!("a `{{{{` without `}}}}` in: {text}"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(insertion(inside.trim())?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Returns the text for a series. As in Prometheus, a missing label is empty.
    pub fn expand(&self, labels: &Labels, value: f64) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Label(name) => out.push_str(labels.get(name)),
                Part::Value(shape) => out.push_str(&shape.format(value)),
            }
        }
        out
    }

    /// Returns a value in the text's format, or with four significant digits if the text shows no value.
    pub fn value(&self, value: f64) -> String {
        let shape = self.0.iter().find_map(|part| match part {
            Part::Value(shape) => Some(*shape),
            Part::Text(_) | Part::Label(_) => None,
        });
        shape.map_or_else(|| significant(value), |shape| shape.format(value))
    }

    /// Returns the text for all series: each label's name replaces its value.
    pub fn without_values(&self) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                // Writing to a string cannot fail.
                Part::Label(name) => drop(write!(out, "{{{name}}}")),
                Part::Value(_) => out.push_str("{value}"),
            }
        }
        out
    }
}

fn insertion(inside: &str) -> Result<Part, String> {
    let unknown =
        || format!("`{{{{ {inside} }}}}` is not a label or a form of the value that the console knows");
    if let Some(label) = inside.strip_prefix("$labels.") {
        let is_name = !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return if is_name { Ok(Part::Label(label.to_owned())) } else { Err(unknown()) };
    }
    let (value, function) = inside.split_once('|').ok_or_else(unknown)?;
    if value.trim() != "$value" {
        return Err(unknown());
    }
    let shape = match function.trim() {
        "humanizePercentage" => Shape::Percentage,
        "humanizeDuration" => Shape::Duration,
        "humanize" => Shape::Decimal,
        "humanize1024" => Shape::Binary,
        function => {
            let digits = function.strip_prefix("printf \"%.").and_then(|rest| rest.strip_suffix("f\""));
            let digits =
                digits.and_then(|digits| digits.parse().ok()).filter(|digits| *digits <= MOST_DIGITS);
            Shape::Digits(digits.ok_or_else(unknown)?)
        }
    };
    Ok(Part::Value(shape))
}

impl Shape {
    fn format(self, value: f64) -> String {
        match self {
            Self::Percentage => format!("{}%", significant(value * 100.0)),
            Self::Duration => duration(value),
            Self::Decimal => decimal(value),
            Self::Binary => binary(value),
            Self::Digits(digits) if value.is_finite() => format!("{value:.digits$}"),
            Self::Digits(_) => not_finite(value).to_owned(),
        }
    }
}

/// Formats seconds as Prometheus' `humanizeDuration` does.
fn duration(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    if value.abs() < 1.0 {
        return format!("{}s", decimal(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", significant(value.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// Formats a number with a metric prefix as Prometheus' `humanize` does.
fn decimal(value: f64) -> String {
    if value.abs() >= 1.0 {
        return prefixed(value, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"]);
    }
    let (mut scaled, mut prefix) = (value, "");
    if value != 0.0 && !value.is_nan() {
        for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if scaled.abs() >= 1.0 {
                break;
            }
            prefix = next;
            scaled *= 1000.0;
        }
    }
    format!("{}{prefix}", significant(scaled))
}

/// Formats a number with a binary prefix as Prometheus' `humanize1024` does.
fn binary(value: f64) -> String {
    prefixed(value, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

fn prefixed(value: f64, base: f64, prefixes: &[&str]) -> String {
    let (mut scaled, mut prefix) = (value, "");
    if value.is_finite() {
        for next in prefixes {
            if scaled.abs() < base {
                break;
            }
            prefix = next;
            scaled /= base;
        }
    }
    format!("{}{prefix}", significant(scaled))
}

/// Formats a number as Go's `%.4g` does: with four significant digits, without trailing zeros.
fn significant(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    // The exponent after rounding to four digits: 99,995 has one more than its logarithm says.
    let scientific = format!("{value:.3e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..4).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or_default();
        return without_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(digits), exponent.abs())
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use monitoring::query::Scale;
    use monitoring::rules::groups;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn texts_show_labels_and_values() {
        let cases = [
            ("No insertion.", 1.0, "No insertion."),
            ("{{ $labels.a }}/{{ $labels.missing }}.", 1.0, "x/."),
            ("{{ $value | humanizePercentage }}", 0.123_456, "12.35%"),
            ("{{ $value | humanizePercentage }}", 1.0, "100%"),
            ("{{ $value | humanizePercentage }}", 0.999_999, "100%"),
            ("{{ $value | humanizePercentage }}", 0.000_000_123, "1.23e-05%"),
            ("{{ $value | humanizePercentage }}", 123.456, "1.235e+04%"),
            ("{{ $value | humanizePercentage }}", f64::NAN, "NaN%"),
            ("{{ $value | humanizeDuration }}", 0.0, "0s"),
            ("{{ $value | humanizeDuration }}", 0.25, "250ms"),
            ("{{ $value | humanizeDuration }}", 0.000_001_5, "1.5us"),
            ("{{ $value | humanizeDuration }}", 59.987_65, "59.99s"),
            ("{{ $value | humanizeDuration }}", 60.9, "1m 0s"),
            ("{{ $value | humanizeDuration }}", -3_661.0, "-1h 1m 1s"),
            ("{{ $value | humanizeDuration }}", 90_061.0, "1d 1h 1m 1s"),
            ("{{ $value | humanizeDuration }}", f64::INFINITY, "+Inf"),
            ("{{ $value | humanize }}", 0.0, "0"),
            ("{{ $value | humanize }}", 12_345.0, "12.35k"),
            ("{{ $value | humanize }}", -0.012, "-12m"),
            ("{{ $value | humanize }}", f64::NAN, "NaN"),
            ("{{ $value | humanize1024 }}", 0.5, "0.5"),
            ("{{ $value | humanize1024 }}", 1023.0, "1023"),
            ("{{ $value | humanize1024 }}", 134_217_728.0, "128Mi"),
            ("{{ $value | humanize1024 }}", 1e30, "8.272e+05Yi"),
            ("{{ $value | printf \"%.0f\" }}", 2.5, "2"),
            ("{{ $value | printf \"%.1f\" }}", 1e6, "1000000.0"),
            ("{{ $value | printf \"%.0f\" }}", f64::NEG_INFINITY, "-Inf"),
        ];
        for (text, value, expected) in cases {
            let template = Template::new(text).expect(text);
            assert_eq!(template.expand(&labels(&[("a", "x")]), value), expected, "{text} with {value}");
        }
    }

    #[test]
    fn what_the_console_cannot_insert_is_refused() {
        for text in [
            "{{ $value }}",
            "{{ $value | humanizeTimestamp }}",
            "{{ $value | printf \"%d\" }}",
            "{{ $value | printf \"%.99f\" }}",
            "{{ $labels. }}",
            "{{ .Labels.a }}",
            "{{ if $value }}",
            "{{ $value",
        ] {
            assert!(Template::new(text).is_err(), "{text}");
        }
    }

    /// Lists the template expressions of all alerts, so that this test detects a new one.
    #[test]
    fn texts_of_all_alerts_are_known() {
        let mut functions = BTreeSet::new();
        for alert in groups(Scale::REAL).iter().flat_map(|group| &group.alerts) {
            for text in [&alert.summary, &alert.description] {
                Template::new(text).unwrap_or_else(|error| panic!("{}: {error}", alert.name));
                for part in text.split("{{").skip(1) {
                    let inside = part.split("}}").next().unwrap_or_default().trim();
                    functions
                        .insert(if inside.starts_with("$labels.") { "$labels.…" } else { inside }.to_owned());
                }
            }
        }
        let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
        let expected = [
            "$labels.…",
            "$value | humanize",
            "$value | humanize1024",
            "$value | humanizeDuration",
            "$value | humanizePercentage",
            "$value | printf \"%.0f\"",
        ];
        assert_eq!(functions, expected);
    }
}
