//! Spans in packed blocks, indexed by trace.
