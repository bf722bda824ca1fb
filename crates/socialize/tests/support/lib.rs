//! What the integration tests share.

mod database;
mod server;

pub use database::TestDatabase;
