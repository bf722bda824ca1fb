//! Series in promtool's notation.

use std::sync::Arc;

use crate::store::metrics::{Histogram, Labels, Points};

/// A sample at each position; `None` where it is missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sample {
    Number(f64),
    Histogram(Histogram),
}

/// Expands values such as `0+1x10 _x5 3`.
pub(super) fn expand(values: &str) -> Vec<Option<Sample>> {
    items(values).into_iter().flat_map(|item| repeated(&item)).collect()
}

/// Splits values at spaces outside of histograms.
fn items(values: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in values.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match items.last_mut() {
            Some(last) if c != ' ' || depth > 0 => last.push(c),
            _ => items.push(String::new()),
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

fn repeated(item: &str) -> Vec<Option<Sample>> {
    let (value, times) = match item.rsplit_once('x') {
        Some((value, times)) => (value, times.parse::<usize>().expect("a number of repetitions")),
        // `_` is one missing sample, and so is `_x1`.
        None if item == "_" => (item, 1),
        None => (item, 0),
    };
    if value == "_" {
        return vec![None; times];
    }
    let (mut current, step) = operands(value);
    let mut samples = Vec::with_capacity(times + 1);
    for _ in 0..=times {
        samples.push(Some(current.clone()));
        if let Some(step) = &step {
            current = sum(&current, step);
        }
    }
    samples
}

/// Returns the first sample, and the increment of each following one.
fn operands(value: &str) -> (Sample, Option<Sample>) {
    if let Some(rest) = value.strip_prefix("{{") {
        let (first, rest) = rest.split_once("}}").expect("the end of a histogram");
        let step = rest.strip_prefix("+{{").and_then(|rest| rest.strip_suffix("}}"));
        return (histogram(first), step.map(histogram));
    }
    let number = |text: &str| Sample::Number(text.parse().unwrap_or_else(|_| panic!("not a number: {text}")));
    match value[1..].find(['+', '-']).map(|position| position + 1) {
        Some(position) => (number(&value[..position]), Some(number(&value[position..]))),
        None => (number(value), None),
    }
}

fn sum(one: &Sample, step: &Sample) -> Sample {
    match (one, step) {
        (Sample::Number(one), Sample::Number(step)) => Sample::Number(one + step),
        (Sample::Histogram(one), Sample::Histogram(step)) => {
            let mut buckets: std::collections::BTreeMap<i32, f64> = one.buckets.iter().copied().collect();
            for (index, count) in &step.buckets {
                *buckets.entry(*index).or_default() += count;
            }
            Sample::Histogram(Histogram {
                count: one.count + step.count,
                sum: one.sum + step.sum,
                zero_count: 0.0,
                buckets: buckets.into_iter().collect(),
            })
        }
        _ => panic!("a number and a histogram"),
    }
}

/// Reads a histogram such as `schema:3 count:3 sum:5 offset:0 buckets:[1 0 2]`.
fn histogram(text: &str) -> Sample {
    let (fields, buckets) = text.split_once(" buckets:[").unwrap_or((text, "]"));
    let mut histogram = Histogram::default();
    let mut offset = 0;
    for field in fields.split_whitespace() {
        let (name, value) = field.split_once(':').expect("a field");
        match name {
            "schema" => assert_eq!(value, signal::exponential::SCALE.to_string()),
            "count" => histogram.count = value.parse().expect("a count"),
            "sum" => histogram.sum = value.parse().expect("a sum"),
            "offset" => offset = value.parse().expect("an offset"),
            other => panic!("unknown field {other}"),
        }
    }
    for (position, count) in (0..).zip(buckets.trim_end_matches(']').split_whitespace()) {
        let count: f64 = count.parse().expect("a count");
        if count > 0.0 {
            // promtool numbers buckets by their upper bound, OTLP by the lower one.
            histogram.buckets.push((offset + position - 1, count));
        }
    }
    Sample::Histogram(histogram)
}

/// Returns samples at their times. The first is at the Unix time zero.
pub(super) fn points(values: &str, interval_ms: i64) -> Points {
    let samples =
        (0..).zip(expand(values)).filter_map(|(position, sample)| Some((position * interval_ms, sample?)));
    let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
    for (at, sample) in samples {
        match sample {
            Sample::Number(number) => numbers.push((at, number)),
            Sample::Histogram(histogram) => histograms.push((at, Arc::new(histogram))),
        }
    }
    assert!(numbers.is_empty() || histograms.is_empty(), "numbers and histograms in {values}");
    if histograms.is_empty() { Points::Numbers(numbers) } else { Points::Histograms(histograms) }
}

/// Reads a series such as `name{label="value", …}`.
pub(super) fn series(text: &str) -> (String, Labels) {
    let (name, labels) = text.trim().split_once('{').unwrap_or((text.trim(), "}"));
    let mut rest = labels.strip_suffix('}').expect("the end of the labels");
    let mut pairs = Vec::new();
    while let Some((label, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').expect("the end of a value");
        assert!(!value.contains('\\'), "escapes are not read: {text}");
        pairs.push((label.trim().into(), value.into()));
        rest = after.trim_start_matches([',', ' ']);
    }
    (name.to_owned(), Labels::new(pairs))
}

#[test]
fn notation_is_expanded() {
    let numbers = |values: &str| -> Vec<Option<f64>> {
        let number = |sample| match sample {
            Sample::Number(number) => number,
            Sample::Histogram(_) => panic!("a histogram"),
        };
        expand(values).into_iter().map(|sample| sample.map(number)).collect()
    };
    assert_eq!(numbers("1x2 5"), [Some(1.0), Some(1.0), Some(1.0), Some(5.0)]);
    assert_eq!(numbers("0+2x2 _ _x2 7"), [Some(0.0), Some(2.0), Some(4.0), None, None, None, Some(7.0)]);
    assert_eq!(numbers("-3+1x1 3-1x1"), [Some(-3.0), Some(-2.0), Some(3.0), Some(2.0)]);
    let histograms =
        expand("{{schema:3}}+{{schema:3 count:3 sum:5 offset:0 buckets:[1 0 2]}}x1 {{schema:3}}");
    let expected = Histogram { count: 3.0, sum: 5.0, zero_count: 0.0, buckets: vec![(-1, 1.0), (1, 2.0)] };
    let [first, second, third] = histograms.as_slice() else { panic!("three samples: {histograms:?}") };
    assert_eq!((first, third), (&Some(Sample::Histogram(Histogram::default())), first));
    assert_eq!(second, &Some(Sample::Histogram(expected)));
    let (name, labels) = series("a_b{c=\"d e\", f=\"g\"}");
    assert_eq!((name.as_str(), labels.get("c"), labels.get("f")), ("a_b", "d e", "g"));
    assert_eq!(series("a:b").0, "a:b");
}
