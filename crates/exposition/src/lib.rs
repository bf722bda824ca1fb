//! Strict parser of `/metrics`, written independently of the renderer that it checks.

mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use text::{Sample, ScrapedFamily, parse};

/// Label names with their values.
type Labels = BTreeMap<String, String>;

/// The content of `/metrics`.
pub struct Exposition {
    /// Metrics in the order of the text.
    pub families: Vec<ScrapedFamily>,
}

impl Exposition {
    /// Parses a whole response.
    pub fn parse(text: &str) -> Self {
        Self { families: text::parse(text) }
    }

    fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    /// Value of the series with exactly these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_it = |sample: &&Sample| {
            sample.name == name && sample.labels.len() == labels.len() && has(sample, labels)
        };
        self.samples().find(is_it).unwrap_or_else(|| panic!("there is no {name}{labels:?}")).value
    }

    /// Sum of all series with at least these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_one = |sample: &&Sample| sample.name == name && has(sample, labels);
        self.samples().filter(is_one).map(|sample| sample.value).sum()
    }

    /// Checks the guarantees of the format: unique series, cumulative buckets, and a last bucket that equals
    /// the count.
    pub fn assert_series_are_whole(&self) {
        for family in &self.families {
            let series: BTreeSet<(&str, Labels)> =
                family.samples.iter().map(|sample| (&sample.name[..], labels_of(sample))).collect();
            assert_eq!(series.len(), family.samples.len(), "{}: each series once", family.name);
            if family.kind == "histogram" {
                assert_buckets_rise(family);
            }
        }
    }
}

fn assert_buckets_rise(family: &ScrapedFamily) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts: BTreeMap<Labels, f64> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = labels_of(sample);
        if sample.name.ends_with("_bucket") {
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound = bound.parse().expect("a bound is a number");
            buckets.entry(labels).or_default().push((bound, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(labels, sample.value);
        }
    }
    assert_eq!(buckets.len(), counts.len(), "{}", family.name);
    for (labels, buckets) in buckets {
        let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        assert!(buckets.windows(2).all(rises), "{}{labels:?}: {buckets:?}", family.name);
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, counts[&labels])), "{}{labels:?}", family.name);
    }
}

/// Returns whether a sample has these labels. As for Prometheus, an empty label is one that is absent.
fn has(sample: &Sample, labels: &[(&str, &str)]) -> bool {
    let value = |key: &str| sample.labels.iter().find(|(k, _)| k == key).map_or("", |(_, value)| value);
    let is_label = |(key, expected): &(&str, &str)| value(key) == *expected;
    labels.iter().all(is_label)
}

fn labels_of(sample: &Sample) -> Labels {
    sample.labels.iter().cloned().collect()
}
