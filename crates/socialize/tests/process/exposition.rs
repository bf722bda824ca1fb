//! Reads the Prometheus text format as strictly as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

/// Label names with their values.
pub(crate) type Labels = BTreeMap<String, String>;

/// Everything that `/metrics` said.
pub(crate) struct Exposition {
    /// The families in order, with their types.
    pub(crate) types: Vec<(String, String)>,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut exposition = Self { types: Vec::new(), samples: Vec::new() };
        let (mut helped, mut known) = (None, BTreeSet::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("a name and a text");
                assert!(!text.is_empty(), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert_eq!(helped.as_deref(), Some(name), "help and type belong together");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(exposition.types.iter().all(|(known, _)| known != name), "{name} occurs twice");
                exposition.types.push((name.to_owned(), kind.to_owned()));
            } else {
                let sample = Sample::parse(line);
                let (family, kind) = exposition.types.last().expect("a sample follows its type");
                let suffix = sample.name.strip_prefix(family.as_str()).expect("a sample of its family");
                let allowed: &[&str] =
                    if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(allowed.contains(&suffix), "{line}");
                assert!(
                    known.insert((sample.name.clone(), sample.labels.clone())),
                    "it occurs twice: {line}"
                );
                exposition.samples.push(sample);
            }
        }
        exposition
    }

    /// The value of the series with exactly these labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let sample = self.samples.iter().find(|sample| sample.name == name && sample.labels == labels);
        sample.unwrap_or_else(|| panic!("there is no {name}{labels:?}")).value
    }

    /// The sum of all series that have these labels among others.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|known| known == value))
        };
        self.samples.iter().filter(|sample| sample.name == name).filter(has).map(|sample| sample.value).sum()
    }

    /// Checks what the format promises of histograms: buckets rise, and the last one is the count.
    pub(crate) fn assert_histograms_are_whole(&self) {
        let mut buckets: BTreeMap<(String, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for sample in &self.samples {
            if let (Some(family), Some(bound)) =
                (sample.name.strip_suffix("_bucket"), sample.labels.get("le"))
            {
                let mut labels = sample.labels.clone();
                labels.remove("le");
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound") };
                buckets.entry((family.to_owned(), labels)).or_default().push((bound, sample.value));
            }
        }
        assert!(!buckets.is_empty());
        for ((family, labels), buckets) in buckets {
            let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(buckets.windows(2).all(rises), "{family}{labels:?}: {buckets:?}");
            let last = buckets.last().expect("a bucket");
            let same = |sample: &&Sample| sample.labels == labels && sample.name == format!("{family}_count");
            let count = self.samples.iter().find(same).expect("a count").value;
            assert_eq!(*last, (f64::INFINITY, count), "{family}{labels:?}");
        }
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = match series.split_once('{') {
            None => (series, Labels::new()),
            Some((name, labels)) => {
                let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("unclosed labels: {line}"));
                (name, parse_labels(labels))
            }
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(name.chars().all(is_name) && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        Self { name: name.to_owned(), labels, value }
    }
}

fn parse_labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"").unwrap_or_else(|| panic!("no label value: {text}"));
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next().unwrap_or_else(|| panic!("an unclosed label value: {text}")) {
                (position, '"') => break position,
                (_, '\\') => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                    other => panic!("an unknown escape {other:?}: {text}"),
                },
                (_, character) => value.push(character),
            }
        };
        assert!(labels.insert(key.to_owned(), value).is_none(), "{key} occurs twice: {text}");
        let rest = &rest[end + 1..];
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}
