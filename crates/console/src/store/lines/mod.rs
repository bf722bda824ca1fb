//! Log lines in packed blocks.
