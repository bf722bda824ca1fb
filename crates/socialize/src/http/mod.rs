//! Common parts of all routes: extractors, errors, pages of lists, health.

pub mod error;
pub mod extract;
pub mod health;
pub mod page;
