//! Evaluation of the expressions of panels and rules over stored series, with the semantics of
//! Prometheus 3.14.
//!
//! An expression is evaluated for all steps of a range at once. Each selected series is read once, windows
//! advance along its samples, and an aggregation consumes one series after the other, so memory depends on
//! the result and not on the number of series. If the result would differ from that of Prometheus, evaluation
//! returns a [`Refusal`].

mod aggregate;
mod combine;
mod context;
mod engine;
mod extrapolate;
#[cfg(test)]
pub(crate) mod fixture;
mod histogram;
mod over_time;
#[cfg(test)]
mod properties;
mod quantile;
mod range;
mod refusal;
mod result;
mod row;
mod samples;
mod selection;
mod shared_results;
mod sum;
#[cfg(test)]
mod tests;
mod windows;

pub use context::Context;
pub use engine::{evaluate, evaluate_at, evaluate_instant};
pub use range::Range;
pub use refusal::Refusal;
pub use result::{ResultSeries, ResultValues};
pub(crate) use selection::select as selected_series;
pub use shared_results::SharedResults;
