//! Tests of the store's public interface.

mod changes;
mod disk;
mod measure;
mod memory;

use std::sync::Arc;

use super::*;

/// Time of the tests: a Unix time in milliseconds.
const NOW: i64 = 1_795_000_000_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn process() -> Origin {
    Origin::process("shop/socialize", "one")
}

fn labels(of: &[(&str, &str)]) -> Labels {
    Labels::new(of.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value))))
}

fn sample(name: &str, label: &str, number: f64) -> Sample {
    Sample { name: name.into(), labels: labels(&[("label", label)]), value: Value::Number(number) }
}

fn histogram(count: f64) -> Histogram {
    Histogram { count, sum: count / 4.0, zero_count: 0.0, buckets: vec![(3, count)] }
}

fn histogram_sample(name: &str, histogram: Histogram) -> Sample {
    Sample { name: name.into(), labels: labels(&[]), value: Value::Histogram(Arc::new(histogram)) }
}

fn only(store: &MetricStore, name: &str) -> SeriesId {
    let series = store.series(name);
    assert_eq!(series.len(), 1, "{name}");
    series[0]
}

/// Returns the samples of the only series of a metric.
fn numbers(store: &MetricStore, name: &str) -> Vec<(i64, f64)> {
    match store.read(only(store, name), i64::MIN, i64::MAX) {
        Points::Numbers(points) => points,
        Points::Histograms(_) => panic!("{name} has histograms"),
    }
}

fn histograms(store: &MetricStore, name: &str) -> Vec<(i64, Histogram)> {
    match store.read(only(store, name), i64::MIN, i64::MAX) {
        Points::Histograms(points) => points.into_iter().map(|(at, h)| (at, (*h).clone())).collect(),
        Points::Numbers(_) => panic!("{name} has numbers"),
    }
}

/// Appends a counter and a histogram every 15 seconds.
fn fill(store: &mut MetricStore, from: i64, until: i64) {
    for at in (from..until).step_by(15 * SECOND as usize) {
        let count = ((at - from) / SECOND) as f64;
        let samples = [sample("counter", "a", count), histogram_sample("histogram", histogram(count))];
        assert_eq!(store.append(&process(), at, samples).accepted, 2, "{at}");
    }
}

fn flush(store: &mut MetricStore, now: i64) {
    store.maintain(now);
    store.flush();
}
