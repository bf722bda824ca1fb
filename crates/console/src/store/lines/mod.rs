//! Log lines in packed blocks.

mod block;
mod event_names;
mod line;
mod parse;
mod scan;
mod search;
mod store;
#[cfg(test)]
mod tests;
mod usage;

pub use line::{LINK_TRACE_ID, Line, Position, SPAN_ID, TRACE_ID};
pub use parse::LineParser;
pub use search::{Counts, Found, Groups, LEVELS, LineCondition, Search};
pub use store::LineStore;
pub use usage::{LineRefusal, LineUsage};
