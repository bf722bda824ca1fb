//! What the integration tests share.

mod app;
mod cache;
mod contract;
mod database;
mod server;

pub use app::{Answer, TestApp};
pub use cache::python_tool;
pub use database::TestDatabase;
