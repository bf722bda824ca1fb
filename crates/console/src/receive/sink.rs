//! Consumers of received data.

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use crate::store::metrics::{Appended, Exemplars, Origin, Sample};

/// The samples that one process collected at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// The process.
    pub origin: Origin,
    /// Unix time in milliseconds.
    pub at: i64,
    /// A sample of each series.
    pub samples: Vec<Sample>,
}

/// Consumer of received data. It must not block for long: one request is processed at a time.
pub trait Sink: Send + Sync + 'static {
    /// Stores samples.
    fn append_metrics(&self, collection: Collection) -> Appended;

    /// Stores exemplars of histograms.
    fn append_exemplars(&self, exemplars: Vec<Exemplars>);

    /// Stores the spans of a process.
    fn append_spans(&self, spans: ResourceSpans) -> RefusedSpans;
}

/// Number of refused spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedSpans {
    /// Number of spans.
    pub spans: u64,
    /// A sentence with the reason; empty if none was refused.
    pub reason: String,
}
