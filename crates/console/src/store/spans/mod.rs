//! Spans in packed blocks.

mod block;
mod encode;
mod ids;
mod scan;
mod search;
mod segments;
mod span;
mod store;
#[cfg(test)]
mod tests;
mod translate;
mod usage;

pub use ids::{NoId, SpanId, TraceId};
pub use search::{SpanCondition, SpanSearch, SpanSummary, TracePosition, TraceSummary};
pub use span::{Attributes, Link, Span, SpanEvent, SpanKind};
pub use store::{Appended, SpanStore};
pub use translate::{LONGEST_VALUE, MOST_ATTRIBUTES, MOST_EVENTS, MOST_LINKS, Translated, translate};
pub use usage::{SpanLosses, SpanUsage};
