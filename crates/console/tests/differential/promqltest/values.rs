//! Samples in the notation of `promqltest`: `1 2+3x2 _ stale {{schema:3 count:4 …}}`.

use console::store::metrics::{Histogram, STALE};

/// A sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Number(f64),
    Histogram(Histogram),
}

/// Parses the samples of a series; `None` where there is none.
pub(crate) fn parse(text: &str) -> Result<Vec<Option<Given>>, String> {
    let mut values = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = item_end(rest)?;
        values.extend(item(&rest[..end])?);
        rest = rest[end..].trim_start();
    }
    Ok(values)
}

/// Returns the end of an item: spaces within histograms do not end it.
fn item_end(text: &str) -> Result<usize, String> {
    let mut position = 0;
    while position < text.len() {
        if text[position..].starts_with("{{") {
            let end = text[position..].find("}}").ok_or("a histogram without an end")?;
            position += end + 2;
        } else if text[position..].starts_with(char::is_whitespace) {
            return Ok(position);
        } else {
            position += 1;
        }
    }
    Ok(text.len())
}

fn item(text: &str) -> Result<Vec<Option<Given>>, String> {
    let (text, times) = match text.rsplit_once('x') {
        Some((text, times)) if !times.contains('}') => {
            (text, Some(times.parse::<usize>().map_err(|_| format!("{times} is not a number"))?))
        }
        _ => (text, None),
    };
    if text == "_" {
        return Ok(vec![None; times.unwrap_or(1)]);
    }
    if text == "stale" {
        return Ok(vec![Some(Given::Number(STALE)); times.map_or(1, |times| times + 1)]);
    }
    let (first, step) = split_step(text, times.is_some());
    let first = value(first)?;
    let step = step.map(|(sign, step)| Ok::<_, String>((sign, value(step)?))).transpose()?;
    let at = |position: usize| {
        let position = position as f64;
        Some(match (&first, &step) {
            (Given::Number(first), Some((sign, Given::Number(step)))) => {
                Given::Number(first + sign * step * position)
            }
            (Given::Histogram(first), Some((sign, Given::Histogram(step)))) => {
                Given::Histogram(sum(first, step, sign * position))
            }
            (first, _) => first.clone(),
        })
    };
    Ok((0..=times.unwrap_or(0)).map(at).collect())
}

/// Splits `1+2` and `1-2`, but neither `-1` nor `1e+2`.
fn split_step(text: &str, repeated: bool) -> (&str, Option<(f64, &str)>) {
    let start = if text.starts_with("{{") { text.find("}}").map_or(0, |end| end + 2) } else { 1 };
    let found = text
        .char_indices()
        .skip_while(|(position, _)| *position < start)
        .find(|(position, character)| "+-".contains(*character) && !text[..*position].ends_with(['e', 'E']));
    match found {
        Some((position, sign)) if repeated => {
            let sign = if sign == '-' { -1.0 } else { 1.0 };
            (&text[..position], Some((sign, &text[position + 1..])))
        }
        _ => (text, None),
    }
}

fn value(text: &str) -> Result<Given, String> {
    match text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")) {
        Some(fields) => histogram(fields).map(Given::Histogram),
        None => text.parse().map(Given::Number).map_err(|_| format!("{text} is not a number")),
    }
}

/// Parses a histogram with the scale of the application's.
fn histogram(text: &str) -> Result<Histogram, String> {
    let mut histogram = Histogram::default();
    let (mut schema, mut offset) = (0, 0);
    let mut counts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':').ok_or_else(|| format!("no value in {rest}"))?;
        let end = if after.starts_with('[') {
            after.find(']').map_or(after.len(), |end| end + 1)
        } else {
            after.find(char::is_whitespace).unwrap_or(after.len())
        };
        let field = &after[..end];
        let number = || field.parse::<f64>().map_err(|_| format!("{field} is not a number"));
        match name {
            "schema" => schema = number()? as i32,
            "sum" => histogram.sum = number()?,
            "count" => histogram.count = number()?,
            "z_bucket" => histogram.zero_count = number()?,
            "offset" => offset = number()? as i32,
            "buckets" => {
                let list = field.trim_matches(['[', ']']).split_whitespace();
                let parsed: Result<_, _> = list.map(str::parse::<f64>).collect();
                counts = parsed.map_err(|_| format!("{field} are not numbers"))?;
            }
            "counter_reset_hint" | "z_bucket_w" => {}
            _ => return Err(format!("histograms with {name} are not supported")),
        }
        rest = after[end..].trim_start();
    }
    if schema != signal::exponential::SCALE && !counts.is_empty() {
        return Err(format!("histograms with the schema {schema} are not supported"));
    }
    // The numbering of Prometheus begins one bucket below that of OTLP.
    let buckets = (offset - 1..).zip(counts).filter(|(_, count)| *count != 0.0);
    histogram.buckets = buckets.collect();
    Ok(histogram)
}

fn sum(first: &Histogram, step: &Histogram, times: f64) -> Histogram {
    let mut buckets: std::collections::BTreeMap<i32, f64> = first.buckets.iter().copied().collect();
    for (index, count) in &step.buckets {
        *buckets.entry(*index).or_default() += count * times;
    }
    Histogram {
        count: first.count + step.count * times,
        sum: first.sum + step.sum * times,
        zero_count: first.zero_count + step.zero_count * times,
        buckets: buckets.into_iter().filter(|(_, count)| *count != 0.0).collect(),
    }
}
