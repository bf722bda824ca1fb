//! The store on disk.
//!
//! Each collection is in a journal within 15 seconds. A complete block is written to a file of blocks. A
//! journal is removed once blocks contain all its collections. Files consist of frames with checksums and are
//! append-only.

pub(super) mod directory;
pub(super) mod frame;
pub(super) mod records;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use self::directory::{FileKind, Found, name_of};
use self::records::Resolution;
use self::writer::{Archive, Writer};
use super::clock::{Clock, Kept};
use super::registry::Registry;
use super::retention::milliseconds;
use super::{Limits, Origin, SeriesId, Value};

/// Size at which a new journal is started, in bytes.
const JOURNAL_BYTES: u64 = 1 << 20;

/// Age at which a new journal is started, in milliseconds.
const JOURNAL_MS: i64 = 10 * 60 * 1000;

/// Number of buffered bytes of a journal that are written at once, however often samples arrive.
const MOST_BUFFERED: usize = 1 << 20;

/// Size at which a new file of blocks is started, in bytes.
const ARCHIVE_BYTES: u64 = 4 << 20;

/// Age at which a new file of blocks is started, in milliseconds.
const ARCHIVE_MS: i64 = 24 * 60 * 60 * 1000;

/// Time for which blocks stay on disk after their roll-up, in milliseconds, because a rolled-up block is
/// written only once it is complete.
const ROLLING_MS: i64 = 3 * 24 * 60 * 60 * 1000;

/// Maximum number of stored messages.
const MOST_PROBLEMS: usize = 10;

/// The files of a store.
#[derive(Debug)]
pub(super) struct Files {
    journal: Writer,
    recent: Writer,
    long: Writer,
    archives: Vec<Archive>,
    damaged_bytes: u64,
    problems: Vec<String>,
}

/// A file read at the start.
pub(super) struct Loaded {
    pub(super) bytes: u64,
    /// Time of the newest sample of each origin.
    pub(super) newest: HashMap<Origin, i64>,
    /// A message about damage.
    pub(super) problem: Option<String>,
}

impl Files {
    /// Reads all files of a directory with `load`; creates the directory if it is missing.
    pub(super) fn open(
        directory: &Path,
        mut load: impl FnMut(&Found) -> io::Result<Loaded>,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let found = directory::find(directory)?;
        let next = |kind| found.iter().filter(|file| file.kind == kind).map(|file| file.number + 1).max();
        let writer = |kind| Writer::new(directory, kind, next(kind).unwrap_or(1));
        let mut files = Self {
            journal: writer(FileKind::Journal),
            recent: writer(FileKind::Recent),
            long: writer(FileKind::Long),
            archives: Vec::new(),
            damaged_bytes: 0,
            problems: Vec::new(),
        };
        for file in &found {
            match load(file) {
                Ok(loaded) => {
                    if let Some(problem) = loaded.problem {
                        files.report(problem);
                    }
                    let (path, bytes, newest) = (file.path.clone(), loaded.bytes, loaded.newest);
                    files.archives.push(Archive { kind: file.kind, path, bytes, newest });
                }
                Err(error) => files.report(format!("{} could not be read: {error}.", name_of(&file.path))),
            }
        }
        files.damaged_bytes = directory::limit_damaged(directory)?;
        Ok(files)
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &String> {
        self.problems.iter()
    }

    fn report(&mut self, problem: String) {
        if self.problems.last() != Some(&problem) {
            self.problems.push(problem);
        }
        if self.problems.len() > MOST_PROBLEMS {
            self.problems.remove(0);
        }
    }

    /// Returns the size of all files.
    pub(super) fn bytes(&self) -> u64 {
        let open = [&self.journal, &self.recent, &self.long].map(Writer::bytes).iter().sum::<u64>();
        open + self.archives.iter().map(|archive| archive.bytes).sum::<u64>() + self.damaged_bytes
    }

    pub(super) fn memory(&self) -> usize {
        [&self.journal, &self.recent, &self.long].map(Writer::memory).iter().sum()
    }

    /// Adds samples to the journal, which [`flush`](Self::flush) writes, or this method if there are many.
    pub(super) fn add_collection(
        &mut self,
        clock: &Clock,
        registry: &Registry,
        at: i64,
        samples: &mut [(SeriesId, u32, &Value)],
        now: i64,
    ) {
        samples.sort_by_key(|(_, slot, _)| *slot);
        let samples = samples.iter().map(|(_, slot, value)| (*slot, *value));
        let Writer { pending, written, newest, .. } = &mut self.journal;
        let before = pending.len();
        written.collection(pending, clock, registry, at, samples);
        // While the disk fails, the next attempt follows after as many bytes again.
        let is_much = pending.len() / MOST_BUFFERED > before / MOST_BUFFERED;
        let newest = newest.entry(clock.origin.clone()).or_insert(at);
        *newest = at.max(*newest);
        if is_much && let Err(error) = self.journal.flush(now) {
            self.report(not_written(&error));
        }
    }

    /// Writes all data that is not on disk yet, and removes files that are no longer needed.
    pub(super) fn flush(
        &mut self,
        clocks: &mut [Option<Clock>],
        registry: &Registry,
        limits: &Limits,
        now: i64,
    ) {
        if let Err(error) = self.write(clocks, registry, now) {
            self.report(not_written(&error));
        }
        if let Err(error) = self.remove_old(clocks, limits, now) {
            self.report(format!("Old metrics could not be removed from disk: {error}."));
        }
    }

    fn write(&mut self, clocks: &mut [Option<Clock>], registry: &Registry, now: i64) -> io::Result<()> {
        self.journal.flush(now)?;
        let mut saved = false;
        for clock in clocks.iter_mut().flatten() {
            let full = if clock.is_of_rules() { &mut self.long } else { &mut self.recent };
            saved |= save(full, clock, registry, Resolution::Full);
            full.flush(now)?;
            saved |= save(&mut self.long, clock, registry, Resolution::Rolled);
            self.long.flush(now)?;
            let unsaved = |kept: &&mut Kept| !kept.is_saved;
            clock
                .full
                .iter_mut()
                .chain(&mut clock.rolled)
                .filter(unsaved)
                .for_each(|kept| kept.is_saved = true);
        }
        if saved {
            // Journals may be removed only now that these files contain their collections.
            self.recent.sync()?;
            self.long.sync()?;
        }
        let journal = self.journal.close_if(JOURNAL_BYTES, JOURNAL_MS, now);
        let recent = self.recent.close_if(ARCHIVE_BYTES, ARCHIVE_MS, now);
        let long = self.long.close_if(ARCHIVE_BYTES, ARCHIVE_MS, now);
        self.archives.extend([journal, recent, long].into_iter().flatten());
        Ok(())
    }

    fn remove_old(&mut self, clocks: &[Option<Clock>], limits: &Limits, now: i64) -> io::Result<()> {
        let saved_until = |origin: &Origin| {
            let clock = clocks.iter().flatten().find(|clock| clock.origin == *origin);
            clock.map_or(i64::MAX, |clock| clock.saved_until().unwrap_or(i64::MIN))
        };
        let is_old = |archive: &Archive| match archive.kind {
            FileKind::Journal => archive.newest.iter().all(|(origin, newest)| *newest <= saved_until(origin)),
            FileKind::Recent => archive.age(now) > milliseconds(limits.full).saturating_add(ROLLING_MS),
            FileKind::Long => archive.age(now) > milliseconds(limits.rolled),
        };
        let old: Vec<PathBuf> = self
            .archives
            .iter()
            .filter(|archive| is_old(archive))
            .map(|archive| archive.path.clone())
            .collect();
        for path in old {
            self.remove(&path)?;
        }
        while self.bytes() > limits.disk {
            let blocks = self.archives.iter().filter(|archive| archive.kind != FileKind::Journal);
            let Some(oldest) = blocks.max_by_key(|archive| archive.age(now)) else { break };
            let path = oldest.path.clone();
            self.remove(&path)?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        // Dropped from the list in any case, because a file that cannot be removed would be retried forever.
        self.archives.retain(|archive| archive.path != path);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Adds the blocks of a clock that are not on disk, and returns whether there are any.
fn save(writer: &mut Writer, clock: &Clock, registry: &Registry, resolution: Resolution) -> bool {
    let blocks = match resolution {
        Resolution::Full => &clock.full,
        Resolution::Rolled => &clock.rolled,
    };
    let mut any = false;
    for Kept { block, .. } in blocks.iter().filter(|kept| !kept.is_saved) {
        any = true;
        writer.written.block(&mut writer.pending, clock, registry, (resolution, block));
        let newest = writer.newest.entry(clock.origin.clone()).or_insert(block.last());
        *newest = block.last().max(*newest);
    }
    any
}

fn not_written(error: &io::Error) -> String {
    format!("Metrics could not be written to disk: {error}.")
}
