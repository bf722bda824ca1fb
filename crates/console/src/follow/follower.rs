//! Follows all files of some patterns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::path::PathBuf;

use super::batch::{Batch, FollowStatus};
use super::pattern::Pattern;
use super::tailed::{Identity, Tailed};
use crate::store::lines::LineParser;

/// Number of lines after which a batch is delivered.
const LINES_OF_BATCH: usize = 1000;
/// Maximum number of open files that do not grow.
const MOST_OPEN: usize = 64;
/// Maximum number of files that are followed.
const MOST_FILES: usize = 256;

/// Follows log files and their rotated predecessors. It stores nothing on disk: after a restart, it reads the
/// newest lines again.
#[derive(Debug)]
pub struct Follower {
    patterns: Vec<Pattern>,
    /// Bytes of the newest lines to read at the start.
    backlog: u64,
    files: HashMap<Identity, Tailed>,
    parser: LineParser,
    buffer: Vec<u8>,
    problems: BTreeMap<PathBuf, String>,
    is_caught_up: bool,
}

impl Follower {
    /// Creates a follower. At the first poll, it reads the newest lines that are already there, up to
    /// `backlog` bytes of all files together.
    pub fn new(patterns: Vec<Pattern>, backlog: u64) -> Self {
        Self {
            patterns,
            backlog,
            files: HashMap::new(),
            parser: LineParser::default(),
            buffer: Vec::new(),
            problems: BTreeMap::new(),
            is_caught_up: false,
        }
    }

    /// Reads what was appended since the last poll and delivers it in batches, roughly in the order
    /// of time.
    pub fn poll(&mut self, deliver: &mut dyn FnMut(Batch)) {
        self.problems.clear();
        let listed = self.list();
        let offsets = match self.is_caught_up {
            true => HashMap::new(),
            false => super::backlog::offsets(&listed, self.backlog),
        };
        let mut present = HashSet::new();
        for (path, metadata) in &listed {
            let identity = Identity::of(metadata);
            present.insert(identity);
            let begin = || Tailed::new(identity, path, offsets.get(path).copied().unwrap_or(0));
            self.files.entry(identity).or_insert_with(begin).seen(path, metadata.len());
        }
        let are_many = self.files.len() > MOST_OPEN;
        for (identity, file) in &mut self.files {
            match present.contains(identity) {
                false => file.unseen(),
                true if are_many => file.close_if_quiet(),
                true => {}
            }
        }
        self.read_all(deliver);
        self.files.retain(|identity, file| present.contains(identity) || !file.is_over());
        self.is_caught_up = true;
    }

    /// Returns the files of all patterns, each once.
    fn list(&mut self) -> Vec<(PathBuf, Metadata)> {
        let mut files = BTreeMap::new();
        let directories: HashSet<PathBuf> =
            self.patterns.iter().map(|pattern| pattern.directory().to_path_buf()).collect();
        for directory in directories {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    self.problems.insert(directory, error.to_string());
                    continue;
                }
            };
            for entry in entries.flatten() {
                let accepts = |pattern: &Pattern| {
                    pattern.directory() == directory && pattern.accepts(&entry.file_name())
                };
                if !self.patterns.iter().any(accepts) {
                    continue;
                }
                match fs::metadata(entry.path()) {
                    Ok(metadata) if metadata.is_file() => {
                        files.insert(entry.path(), metadata);
                    }
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        self.problems.insert(entry.path(), error.to_string());
                    }
                    _ => {}
                }
            }
        }
        let mut files: Vec<(PathBuf, Metadata)> = files.into_iter().collect();
        if files.len() > MOST_FILES {
            let reason = format!("more than {MOST_FILES} files: the oldest are not read");
            files.sort_by_key(|(_, metadata)| std::cmp::Reverse(metadata.modified().ok()));
            for (path, _) in files.drain(MOST_FILES..) {
                self.problems.insert(path, reason.clone());
            }
        }
        files
    }

    /// Reads all files to their ends. A line is delivered once no file can have an older one, provided that
    /// each file is in chronological order.
    fn read_all(&mut self, deliver: &mut dyn FnMut(Batch)) {
        let mut batch = Batch::default();
        loop {
            let mut until = i64::MAX;
            for file in self.files.values_mut() {
                while file.lines.is_empty() && file.has_more() {
                    if let Err(error) = file.read(&mut self.parser, &mut self.buffer, &mut batch) {
                        self.problems.insert(file.path().to_path_buf(), error.to_string());
                    }
                }
                // The newest time, not that of the last line, because a clock may have been set back.
                if file.has_more() {
                    let newest = file.lines.iter().map(|line| line.at).max();
                    until = newest.unwrap_or(until).min(until);
                }
            }
            let start = batch.lines.len();
            for file in self.files.values_mut() {
                while let Some(line) = file.lines.pop_front_if(|line| line.at <= until) {
                    batch.lines.push(line);
                }
            }
            batch.lines[start..].sort_by_key(|line| line.at);
            let is_done = self.files.values().all(|file| file.lines.is_empty() && !file.has_more());
            if batch.lines.len() >= LINES_OF_BATCH || (is_done && !batch.is_empty()) {
                deliver(std::mem::take(&mut batch));
            }
            if is_done {
                return;
            }
        }
    }

    /// Returns the followed files, and the errors of unreadable ones.
    pub fn status(&self) -> FollowStatus {
        let mut files: Vec<_> = self.files.values().map(Tailed::describe).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let problems = self.problems.iter().map(|(path, reason)| (path.clone(), reason.clone())).collect();
        FollowStatus { files, problems, is_caught_up: self.is_caught_up }
    }

    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}
