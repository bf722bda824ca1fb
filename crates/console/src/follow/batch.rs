//! Lines read from log files, and the positions reached.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::store::lines::{Line, LineRefusal, LineStore};

/// Lines that were read, roughly in the order of their times.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Lines in the order in which they were read.
    pub lines: Vec<Line>,
    /// Number of lines that were refused, by reason.
    pub refused: BTreeMap<LineRefusal, u64>,
}

impl Batch {
    /// Adds the lines and the numbers of refused ones to a store.
    pub fn store_in(self, store: &mut LineStore) {
        store.append(self.lines);
        for (reason, count) in self.refused {
            store.refuse(reason, count);
        }
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.refused.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedFile {
    /// Path at which it was last seen.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Position in bytes at which reading began.
    pub begun_at: u64,
    /// Position in bytes that was reached.
    pub read: u64,
}

/// State of following.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// The files, in the order of their paths.
    pub files: Vec<FollowedFile>,
    /// Files and directories that cannot be read, with the reason.
    pub problems: Vec<(PathBuf, String)>,
    /// Set once the lines that existed at the start have been read.
    pub is_caught_up: bool,
}
