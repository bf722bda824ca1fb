//! Socialize's vocabulary, approval state machine and signal catalogue.
//!
//! Everything here is pure: no IO, no async, no clock and no randomness. The optional feature
//! `sqlx` only lets ids and closed sets be bound to queries and read from rows.

pub mod approval;
pub mod audit;
pub mod catalogue;
pub mod database_operation;
pub mod events;
pub mod feedback;
pub mod ids;
pub mod labels;
pub mod limits;
pub mod recorded;
pub mod scopes;
pub mod signals;
pub mod vocabulary;
