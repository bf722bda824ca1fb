//! Evaluation of recordings and alerts at their intervals.
