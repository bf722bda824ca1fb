//! Declarations of signals: closed sets, labels, metrics, attributes, events and scopes.
//!
//! Everything here is pure: no IO, no async. A program declares its signals with these types,
//! `telemetry` records them, and whatever reads signals, such as dashboards, names them by the same
//! declarations.

// The derived code names this crate.
extern crate self as signal;

mod attribute;
pub mod builtin;
mod closed_set;
mod error_type;
pub mod events;
pub mod exponential;
pub mod instrumentation_scope;
mod level;
pub mod metric;
pub mod names;
mod outcome;
mod sql_state;

pub use attribute::{Identifier, Key};
pub use closed_set::ClosedSet;
pub use error_type::ErrorType;
pub use instrumentation_scope::InstrumentationScope;
pub use level::Level;
pub use outcome::{DatabaseOutcome, JobOutcome, Outcome};
pub use signal_derive::ClosedSet;
pub use sql_state::SqlState;
