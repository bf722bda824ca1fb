//! Socialize's vocabulary and rules: the approval state machine, the triage of feedback, limits,
//! typed ids and audited changes.
//!
//! Everything here is pure: no IO, no async, no clock and no randomness. The optional feature
//! `sqlx` lets ids and closed sets be bound to queries and read from rows, and `schema` describes
//! them in the OpenAPI document.

pub mod approval;
pub mod audit;
pub mod feedback;
pub mod ids;
pub mod limits;
pub mod vocabulary;
