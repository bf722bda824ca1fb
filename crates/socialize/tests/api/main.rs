//! The API through its router, on a real database.

mod activity;
mod organizations;
