//! Refused points, with the reasons for the sender.

use std::collections::BTreeMap;

use crate::store::metrics::Dropped;

/// Maximum number of metrics named in a message.
const MOST_NAMES: usize = 3;

/// Reasons why the receiver refuses points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    NoName,
    NoValue,
    Delta,
    ExplicitBuckets,
    OtherScale,
    NegativeObservations,
    InvalidBuckets,
    Summary,
    NoTime,
    InFuture,
}

impl Refusal {
    fn sentence(self) -> &'static str {
        match self {
            Self::NoName => "The metric's name has no letter or digit.",
            Self::NoValue => "The point has no value.",
            Self::Delta => "Only cumulative sums and histograms are accepted, no deltas.",
            Self::ExplicitBuckets => {
                "Histograms with explicit buckets are not accepted; send exponential histograms \
                 (OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram)."
            }
            Self::OtherScale => "Only exponential histograms with the scale 3 are accepted.",
            Self::NegativeObservations => "Histograms with negative observations are not accepted.",
            Self::InvalidBuckets => "The buckets do not add up to the count, or their index is out of range.",
            Self::Summary => "Summaries are not accepted; send exponential histograms.",
            Self::NoTime => "The point has no time.",
            Self::InFuture => "The point's time is in the future; check the clocks.",
        }
    }
}

/// Counts of refused points.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_reason: BTreeMap<Refusal, (u64, Vec<String>)>,
    by_store: Dropped,
}

impl Refusals {
    /// Counts refused points of a metric.
    pub(super) fn add(&mut self, refusal: Refusal, metric: &str, points: usize) {
        if points == 0 {
            return;
        }
        let (count, names) = self.by_reason.entry(refusal).or_default();
        *count += points as u64;
        if names.len() < MOST_NAMES && names.iter().all(|name| name != metric) {
            names.push(metric.chars().take(100).collect());
        }
    }

    /// Counts points that the store refused.
    pub(super) fn add_dropped(&mut self, dropped: &Dropped) {
        self.by_store.add_all(dropped);
    }

    /// Returns the number of points.
    pub(super) fn points(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum::<u64>() + self.by_store.total()
    }

    /// Returns a message for the sender; empty if nothing was refused.
    pub(super) fn message(&self) -> String {
        let mut sentences = Vec::new();
        for (refusal, (count, names)) in &self.by_reason {
            sentences.push(format!("{count} points ({}): {}", names.join(", "), refusal.sentence()));
        }
        for (reason, count) in self.by_store.iter() {
            sentences.push(format!("{count} points: {}", reason.sentence()));
        }
        sentences.join(" ")
    }
}
