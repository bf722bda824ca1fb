//! Dashboards, rules, runbook and collector configuration, written in Rust from the signal
//! catalogue and rendered into committed files.
//!
//! Start reading at [`query`]: a query is built from the constants of [`catalogue::metrics`]. So a
//! query that names a metric, a label or a value that Socialize does not emit does not compile.
//! [`files`] lists everything that is rendered.

pub mod collector;
mod dashboard_uid;
pub mod dashboards;
pub mod exporters;
pub mod files;
pub mod foreign;
mod generated;
pub mod grafana;
pub mod metrics_document;
pub mod mutants;
mod prometheus;
pub mod query;
pub mod rules;
mod severity;
mod wrap;
