//! One file that is followed.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::batch::{Batch, FollowedFile};
use super::cutter::{Cut, Cutter};
use crate::store::lines::{Line, LineParser, LineRefusal};

/// Size of one read in bytes.
const PIECE: usize = 64 << 10;
/// Number of bytes at the beginning of a file that identify it. They contain the time of the first line in
/// microseconds.
const BEGINNING: usize = 64;
/// Number of polls without growth before a file is closed.
const QUIET_POLLS: u32 = 40;

/// Device and inode, which stay the same when a file is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// A file that is followed, with the lines that were read and not yet delivered.
#[derive(Debug)]
pub(super) struct Tailed {
    identity: Identity,
    path: PathBuf,
    file: Option<File>,
    /// First bytes of the file. Needed because the system gives the inode of a deleted file to a new one.
    beginning: Vec<u8>,
    begun_at: u64,
    offset: u64,
    size: u64,
    cutter: Cutter,
    quiet_polls: u32,
    /// Lines that were read, in the order of the file.
    pub(super) lines: VecDeque<Line>,
}

impl Tailed {
    /// Starts to follow a file at a position where a line begins.
    pub(super) fn new(identity: Identity, path: &Path, offset: u64) -> Self {
        Self {
            identity,
            path: path.to_path_buf(),
            file: None,
            beginning: Vec::new(),
            begun_at: offset,
            offset,
            size: offset,
            cutter: Cutter::default(),
            quiet_polls: 0,
            lines: VecDeque::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Updates the file's path and size. A file that became smaller was truncated.
    pub(super) fn seen(&mut self, path: &Path, size: u64) {
        if self.path != path {
            self.path = path.to_path_buf();
        }
        self.resized(size);
    }

    /// Updates the size of a file that matches no pattern any more but may still be written.
    pub(super) fn unseen(&mut self) {
        if let Some(metadata) = self.file.as_ref().and_then(|file| file.metadata().ok()) {
            self.resized(metadata.len());
        }
        self.close_if_quiet();
    }

    /// Closes a file that has not grown for some time.
    pub(super) fn close_if_quiet(&mut self) {
        if self.quiet_polls >= QUIET_POLLS {
            self.file = None;
        }
    }

    fn resized(&mut self, size: u64) {
        let is_quiet = size == self.size && self.offset == size;
        self.quiet_polls = if is_quiet { self.quiet_polls.saturating_add(1) } else { 0 };
        self.size = size;
        let Some(removed) = self.offset.checked_sub(size).filter(|removed| *removed > 0) else { return };
        match usize::try_from(removed) {
            // A writer whose disk is full removes the line that it could not finish.
            Ok(removed) if removed <= self.cutter.pending() => {
                self.cutter.take_back(removed);
                self.offset = size;
            }
            _ => self.restart(),
        }
    }

    fn restart(&mut self) {
        self.offset = 0;
        self.begun_at = 0;
        self.cutter = Cutter::default();
        self.beginning.clear();
    }

    /// Returns whether a file that matches no pattern can be dropped.
    pub(super) fn is_over(&self) -> bool {
        self.file.is_none() && self.lines.is_empty()
    }

    /// Returns whether the file has unread bytes.
    pub(super) fn has_more(&self) -> bool {
        self.offset < self.size
    }

    /// Reads one piece. Lines that are refused are counted in `batch`.
    pub(super) fn read(
        &mut self,
        parser: &mut LineParser,
        buffer: &mut Vec<u8>,
        batch: &mut Batch,
    ) -> io::Result<()> {
        let result = self.read_piece(buffer);
        if result.is_err() {
            // Try again when the file has changed.
            self.file = None;
            self.size = self.offset;
        }
        result?;
        let lines = &mut self.lines;
        self.cutter.add(buffer, |cut| {
            let parsed = match cut {
                Cut::Line(line) => parser.parse(line),
                Cut::TooLong => Err(LineRefusal::TooLong),
            };
            match parsed {
                Ok(line) => lines.push_back(line),
                Err(reason) => *batch.refused.entry(reason).or_default() += 1,
            }
        });
        Ok(())
    }

    fn read_piece(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        if self.file.is_none() {
            self.file = self.open()?;
        }
        let Some(file) = self.file.as_mut() else {
            self.size = self.offset;
            return Ok(());
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let left = self.size.saturating_sub(self.offset).min(PIECE as u64);
        let read = file.take(left).read_to_end(buffer)?;
        self.offset += read as u64;
        if read == 0 {
            self.size = self.offset;
        }
        Ok(())
    }

    /// Opens the file. Starts at its beginning if it is not the file that was read before. Returns `None` if
    /// the file was renamed just now: the next poll sees its new path.
    fn open(&mut self) -> io::Result<Option<File>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        if Identity::of(&file.metadata()?) != self.identity {
            return Ok(None);
        }
        let mut beginning = Vec::with_capacity(BEGINNING);
        Read::by_ref(&mut file).take(BEGINNING as u64).read_to_end(&mut beginning)?;
        if !beginning.starts_with(&self.beginning) {
            self.restart();
        }
        self.beginning = beginning;
        Ok(Some(file))
    }

    pub(super) fn describe(&self) -> FollowedFile {
        FollowedFile { path: self.path.clone(), size: self.size, begun_at: self.begun_at, read: self.offset }
    }
}
