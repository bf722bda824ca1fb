//! Reception of metrics and spans by OTLP over HTTP.
//!
//! Metrics become series exactly as in the Prometheus of `deploy/`, so that the same queries work.

mod body;
mod names;
mod refusals;
mod resource;
mod server;
mod sink;
mod translate;

#[cfg(test)]
mod tests;

pub use server::{Clock, bind, router, serve};
pub use sink::{Collection, RefusedSpans, Sink};
