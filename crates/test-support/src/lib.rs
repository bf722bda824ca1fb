//! Shared helpers of the integration tests.

mod answer;
mod app;
mod cache;
mod claim;
mod contract;
mod database;
mod fixtures;
pub mod process;
mod recorded;
mod s3_server;
mod server;
mod user;

pub use answer::Answer;
pub use app::TestApp;
pub use cache::{cache_directory, python_tool};
pub use claim::{claim_of_eight, insert_due_emails};
pub use database::TestDatabase;
pub use recorded::{assert_known_attributes, assert_known_fields};
pub use s3_server::{S3_BUCKET, S3_KEY, S3Server, s3_at};
