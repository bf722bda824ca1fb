//! The two representations of a histogram in OTLP.

/// Form in which histograms are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramAggregation {
    /// Eight buckets to a factor of two, of which only those in use are sent.
    #[default]
    Exponential,
    /// The classic buckets of each metric, for backends that know no others.
    Explicit,
}
