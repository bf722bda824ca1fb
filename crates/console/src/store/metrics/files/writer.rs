//! Writer of append-only files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::directory::{self, FileKind};
use super::frame::{self, HEADER};
use super::records::Written;
use crate::store::metrics::Origin;

/// Maximum number of buffered bytes while the file cannot be written; beyond it they are dropped.
const MOST_PENDING: usize = 8 << 20;

/// A complete file.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) kind: FileKind,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Time of the newest sample of each origin.
    pub(super) newest: HashMap<Origin, i64>,
}

impl Archive {
    /// Returns the age of the newest sample, in milliseconds.
    pub(super) fn age(&self, now: i64) -> i64 {
        self.newest.values().max().map_or(i64::MAX, |newest| now.saturating_sub(*newest))
    }
}

/// Writes files of one kind, one at a time.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    kind: FileKind,
    number: u64,
    file: Option<File>,
    bytes: u64,
    created: i64,
    is_synced: bool,
    pub(super) pending: Vec<u8>,
    pub(super) written: Written,
    pub(super) newest: HashMap<Origin, i64>,
}

impl Writer {
    pub(super) fn new(directory: &Path, kind: FileKind, number: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            kind,
            number,
            file: None,
            bytes: 0,
            created: 0,
            is_synced: true,
            pending: Vec::new(),
            written: Written::default(),
            newest: HashMap::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn memory(&self) -> usize {
        self.pending.capacity() + self.written.memory()
    }

    fn path(&self) -> PathBuf {
        directory::path_of(&self.directory, self.kind, self.number)
    }

    /// Writes the buffered records as one frame.
    pub(super) fn flush(&mut self, now: i64) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.try_flush(now);
        match &written {
            // Its capacity is that of the busiest time.
            Ok(()) => self.pending = Vec::new(),
            Err(_) if self.pending.len() > MOST_PENDING => self.abandon(),
            Err(_) => {}
        }
        written
    }

    fn try_flush(&mut self, now: i64) -> io::Result<()> {
        let frame = frame::encode(&self.pending)?;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = directory::path_of(&self.directory, self.kind, self.number);
                let created = directory::create(&path);
                if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
                    // The next attempt uses another name.
                    self.number += 1;
                }
                let file = self.file.insert(created?);
                (self.created, self.bytes) = (now, HEADER.len() as u64);
                file
            }
        };
        self.is_synced = false;
        if let Err(error) = file.write_all(&frame) {
            // A partial frame must not precede the next one.
            file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Drops the buffered records. The next file does not refer to them.
    fn abandon(&mut self) {
        self.pending = Vec::new();
        self.written = Written::default();
    }

    /// Syncs the file to disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file
            && !self.is_synced
        {
            file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Completes and returns the file if it is large or old.
    pub(super) fn close_if(&mut self, most_bytes: u64, longest: i64, now: i64) -> Option<Archive> {
        let is_full = self.bytes >= most_bytes || now.saturating_sub(self.created) >= longest;
        if self.file.is_none() || !is_full || !self.pending.is_empty() {
            return None;
        }
        let archive = Archive {
            kind: self.kind,
            path: self.path(),
            bytes: self.bytes,
            newest: std::mem::take(&mut self.newest),
        };
        self.file = None;
        self.bytes = 0;
        self.number += 1;
        self.written = Written::default();
        Some(archive)
    }
}
