//! Every signal that Socialize emits: its metrics, labels, events, fields, scopes and database
//! operations.
//!
//! Instruments, dashboards, alerts and the collector's allow-list all use these declarations, so none of them
//! can refer to a missing name.

pub mod database_operation;
pub mod events;
pub mod keys;
pub mod labels;
pub mod metrics;
pub mod recorded;
pub mod scopes;
