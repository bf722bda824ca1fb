//! What the integration tests share.

mod cache;
mod database;
mod server;

pub use cache::python_tool;
pub use database::TestDatabase;
