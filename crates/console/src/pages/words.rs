//! Durations, counts and times as readable text.

/// Returns a duration with three significant digits, such as `12.3 ms` or `2 min 5 s`.
pub(crate) fn duration(nanoseconds: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    if nanoseconds == 0 {
        return "0".to_owned();
    }
    let seconds = nanoseconds / 1_000_000_000;
    if seconds >= 60 {
        return long_duration(seconds);
    }
    // 999.7 µs would be rounded to 1000 µs, so the next unit starts at the value that rounds up to it.
    for (size, unit) in UNITS {
        if nanoseconds as f64 >= size * 0.9995 {
            return format!("{} {unit}", significant(nanoseconds as f64 / size));
        }
    }
    format!("{nanoseconds} ns")
}

/// Returns a duration of at least a second in its two largest units, such as `3 h 20 min`.
pub(crate) fn long_duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    for (position, (size, unit)) in UNITS.into_iter().enumerate() {
        if seconds < size {
            continue;
        }
        let whole = format!("{} {unit}", seconds / size);
        let rest = UNITS.get(position + 1).map(|(size, unit)| (seconds % UNITS[position].0 / size, unit));
        return match rest {
            Some((rest, unit)) if rest > 0 => format!("{whole} {rest} {unit}"),
            _ => whole,
        };
    }
    "0 s".to_owned()
}

/// Rounds to three significant digits, without trailing zeros after the point.
fn significant(value: f64) -> String {
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Returns a whole number with commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count with its noun, such as `1 line` or `2,000 lines`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", count(number)),
        (_, None) => format!("{} {noun}s", count(number)),
    }
}

/// Returns a size in memory or on disk, such as `3.4 MiB`.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(unit, _)| size >= *unit);
    match unit {
        Some((unit, name)) => format!("{} {name}", significant(size as f64 / unit as f64)),
        None => counted(size, "byte"),
    }
}

/// Returns the time between two moments in Unix milliseconds, such as `3 min ago`.
pub(crate) fn ago(at: i64, now: i64) -> String {
    let seconds = now.saturating_sub(at) / 1000;
    match u64::try_from(seconds) {
        Ok(0) => "just now".to_owned(),
        Ok(seconds) => format!("{} ago", largest_unit(seconds)),
        Err(_) => format!("in {}", largest_unit(seconds.unsigned_abs())),
    }
}

fn largest_unit(seconds: u64) -> String {
    let size = [86_400, 3_600, 60].into_iter().find(|size| seconds >= *size).unwrap_or(1);
    long_duration(seconds - seconds % size)
}

/// Returns a part of a whole in percent, such as `82 %` or `< 1 %`.
pub(crate) fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 {
        return "0 %".to_owned();
    }
    match part / whole * 100.0 {
        share if share > 0.0 && share < 1.0 => "< 1 %".to_owned(),
        share => format!("{share:.0} %"),
    }
}

/// Joins words: `a, b and c`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let cases = [
            (0, "0"),
            (850, "850 ns"),
            (1_000, "1 µs"),
            (999_700, "1 ms"),
            (12_340_000, "12.3 ms"),
            (120_000_000, "120 ms"),
            (1_500_000_000, "1.5 s"),
            (59_990_000_000, "60 s"),
            (125_000_000_000, "2 min 5 s"),
            (12_000_000_000_000, "3 h 20 min"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(duration(nanoseconds), text, "{nanoseconds}");
        }
        assert_eq!(long_duration(0), "0 s");
        assert_eq!(long_duration(172_800), "2 d");
    }

    #[test]
    fn counts_have_commas_and_nouns() {
        let cases = [
            (0, "entry", "0 entries"),
            (1, "entry", "1 entry"),
            (1, "line", "1 line"),
            (1_234_567, "line", "1,234,567 lines"),
        ];
        for (number, noun, text) in cases {
            assert_eq!(counted(number, noun), text);
        }
    }

    #[test]
    fn sizes_and_times_are_rounded() {
        let sizes = [(1, "1 byte"), (1023, "1,023 bytes"), (1 << 20, "1 MiB"), (3_565_158, "3.4 MiB")];
        for (size, text) in sizes {
            assert_eq!(bytes(size), text);
        }
        let times = [(0, "just now"), (59_000, "59 s ago"), (61_000, "1 min ago"), (-5_000, "in 5 s")];
        for (before, text) in times {
            assert_eq!(ago(1_000_000 - before, 1_000_000), text);
        }
    }

    #[test]
    fn parts_and_lists_read_as_sentences() {
        assert_eq!(percent(0.1, 100.0), "< 1 %");
        assert_eq!(percent(1.0, 0.0), "0 %");
        assert_eq!(percent(41.0, 50.0), "82 %");
        let words: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(list(&words), "a, b and c");
        assert_eq!(list(&words[..1]), "a");
    }
}
