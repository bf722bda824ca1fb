//! Tail of log files.
//!
//! The files are the durable copy of the lines. The console stores no lines on disk; after a start it reads
//! the newest ones again, as many as fit into memory.

mod backlog;
mod batch;
mod cutter;
mod follower;
mod pattern;
mod run;
mod tailed;

pub use batch::{Batch, FollowStatus, FollowedFile};
pub use follower::Follower;
pub use pattern::{NoPattern, Pattern};
pub use run::run;

#[cfg(test)]
mod tests;
