//! Texts of values with their units.

use monitoring::grafana::Unit;

/// Text for an unknown value.
pub const UNKNOWN: &str = "–";

/// Number of significant digits unless a panel asks for decimals.
const DIGITS: i32 = 3;

pub fn value_text(value: f64, unit: Unit, decimals: Option<u8>) -> String {
    if value.is_nan() {
        return UNKNOWN.to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let (scaled, suffix) = scaled(value, unit);
    let text = match unit {
        Unit::Age => return words(value),
        // The panel's number of decimals applies to its own unit, not to a smaller one.
        Unit::Seconds if suffix != " s" => digits(scaled, None),
        _ => digits(scaled, decimals),
    };
    format!("{text}{suffix}")
}

/// Returns a value with its unit, or a dash for none.
pub fn optional_text(value: Option<f64>, unit: Unit, decimals: Option<u8>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value_text(value, unit, decimals))
}

/// Returns a value in a suitable multiple of its unit, and the text that follows it.
fn scaled(value: f64, unit: Unit) -> (f64, &'static str) {
    match unit {
        Unit::Plain => (value, ""),
        Unit::Count => thousands(value, ["", "k", "M", "G"]),
        Unit::RequestsPerSecond => thousands(value, [" req/s", "k req/s", "M req/s", "G req/s"]),
        Unit::PerSecond => thousands(value, ["/s", "k/s", "M/s", "G/s"]),
        Unit::Share => (value * 100.0, "%"),
        Unit::Cpus => (value, " CPU"),
        Unit::Bytes => binary(value, [" B", " KiB", " MiB", " GiB", " TiB"]),
        Unit::BytesPerSecond => binary(value, [" B/s", " KiB/s", " MiB/s", " GiB/s", " TiB/s"]),
        Unit::Seconds | Unit::Age => match value.abs() {
            0.0 => (0.0, " s"),
            size if size < 1e-3 => (value * 1e6, " µs"),
            size if size < 1.0 => (value * 1e3, " ms"),
            size if size < 120.0 => (value, " s"),
            size if size < 7200.0 => (value / 60.0, " min"),
            size if size < 172_800.0 => (value / 3600.0, " h"),
            _ => (value / 86_400.0, " d"),
        },
    }
}

fn thousands(value: f64, suffixes: [&'static str; 4]) -> (f64, &'static str) {
    let power =
        suffixes.iter().enumerate().rev().find(|(power, _)| value.abs() >= 1000_f64.powi(*power as i32));
    power.map_or((value, suffixes[0]), |(power, suffix)| (value / 1000_f64.powi(power as i32), suffix))
}

fn binary(value: f64, suffixes: [&'static str; 5]) -> (f64, &'static str) {
    let power =
        suffixes.iter().enumerate().rev().find(|(power, _)| value.abs() >= 1024_f64.powi(*power as i32));
    power.map_or((value, suffixes[0]), |(power, suffix)| (value / 1024_f64.powi(power as i32), suffix))
}

/// Returns a number with this many decimals, or with three significant digits.
pub fn digits(value: f64, decimals: Option<u8>) -> String {
    if let Some(decimals) = decimals {
        return without_minus_zero(format!("{value:.*}", usize::from(decimals)));
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (DIGITS - 1 - magnitude).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    without_minus_zero(text.to_owned())
}

fn without_minus_zero(text: String) -> String {
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// Returns a duration in its two largest units: `3 d 4 h`.
fn words(seconds: f64) -> String {
    let mut rest = seconds.abs().round().min(1e15) as u64;
    let mut parts = Vec::new();
    for (length, name) in [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")] {
        let number = rest / length;
        rest %= length;
        if number > 0 && parts.len() < 2 {
            parts.push(format!("{number} {name}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_have_their_units() {
        let cases = [
            (0.0, Unit::Seconds, None, "0 s"),
            (0.000_25, Unit::Seconds, None, "250 µs"),
            (0.0123, Unit::Seconds, Some(0), "12.3 ms"),
            (1.5, Unit::Seconds, None, "1.5 s"),
            (42.4, Unit::Seconds, Some(0), "42 s"),
            (600.0, Unit::Seconds, None, "10 min"),
            (93_784.0, Unit::Age, None, "1 d 2 h"),
            (3600.0, Unit::Age, None, "1 h"),
            (0.2, Unit::Age, None, "0 s"),
            (0.99951, Unit::Share, Some(2), "99.95%"),
            (0.5, Unit::Share, None, "50%"),
            (1234.0, Unit::Count, None, "1.23k"),
            (1234.0, Unit::Plain, Some(0), "1234"),
            (1536.0, Unit::Bytes, None, "1.5 KiB"),
            (-2.0 * 1024.0 * 1024.0, Unit::Bytes, None, "-2 MiB"),
            (12.34, Unit::RequestsPerSecond, None, "12.3 req/s"),
            (0.001_234, Unit::PerSecond, None, "0.00123/s"),
            (0.25, Unit::Cpus, None, "0.25 CPU"),
            (-0.001, Unit::Plain, Some(1), "0.0"),
            (f64::NAN, Unit::Plain, None, "–"),
            (f64::INFINITY, Unit::Plain, None, "∞"),
        ];
        for (value, unit, decimals, expected) in cases {
            assert_eq!(value_text(value, unit, decimals), expected, "{value} {unit:?} {decimals:?}");
        }
    }
}
