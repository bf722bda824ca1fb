//! The three signals of one operation, decoded by independent code and compared field by field.

mod concurrency;
mod conformance;
mod failures;
mod generated;
mod http_client;
mod late_series;
mod metrics;
mod operations;
mod requests;
mod support;
mod trace_context;
mod trace_state;
