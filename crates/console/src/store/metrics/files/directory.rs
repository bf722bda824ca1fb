//! The files of the store and their names.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::frame::HEADER;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum FileKind {
    /// Rolled-up blocks and blocks of rules.
    Long,
    /// Blocks of processes with all samples.
    Recent,
    /// Collections that no block on disk contains yet.
    Journal,
}

impl FileKind {
    const ALL: [Self; 3] = [Self::Long, Self::Recent, Self::Journal];

    fn prefix(self) -> &'static str {
        match self {
            Self::Long => "long-",
            Self::Recent => "recent-",
            Self::Journal => "journal-",
        }
    }
}

/// File extension.
const ENDING: &str = ".metrics";

/// Extension of files that were set aside.
const DAMAGED: &str = ".damaged";

/// Maximum number of kept files that were set aside.
const MOST_DAMAGED: usize = 4;

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Found {
    pub(in super::super) kind: FileKind,
    pub(in super::super) number: u64,
    pub(in super::super) path: PathBuf,
}

pub(in super::super) fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(in super::super) fn path_of(directory: &Path, kind: FileKind, number: u64) -> PathBuf {
    directory.join(format!("{}{number:010}{ENDING}", kind.prefix()))
}

/// Returns the store's files, those of each kind in the order in which they were written.
pub(in super::super) fn find(directory: &Path) -> io::Result<Vec<Found>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(name) = name.strip_suffix(ENDING) else { continue };
        let number = |kind: &FileKind| name.strip_prefix(kind.prefix())?.parse().ok();
        let found = FileKind::ALL.iter().find_map(|kind| Some((*kind, number(kind)?)));
        if let Some((kind, number)) = found {
            files.push(Found { kind, number, path });
        }
    }
    files.sort();
    Ok(files)
}

/// Creates a file with its header.
pub(in super::super) fn create(path: &Path) -> io::Result<File> {
    let mut file = File::options().append(true).create_new(true).open(path)?;
    if let Err(error) = file.write_all(HEADER) {
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(file)
}

/// Renames a damaged file, and writes its valid part under its name.
pub(in super::super) fn set_aside(path: &Path, valid: &[&[u8]]) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(DAMAGED);
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    if !valid.is_empty() {
        let mut file = create(path)?;
        for frame in valid {
            file.write_all(frame)?;
        }
    }
    Ok(aside)
}

/// Removes the oldest of the files that were set aside, and returns the size of the others.
pub(in super::super) fn limit_damaged(directory: &Path) -> io::Result<u64> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.path().to_string_lossy().ends_with(DAMAGED) {
            let metadata = entry.metadata()?;
            files.push((metadata.modified().ok(), metadata.len(), entry.path()));
        }
    }
    files.sort();
    let excess = files.len().saturating_sub(MOST_DAMAGED);
    for (_, _, path) in files.drain(..excess) {
        fs::remove_file(path)?;
    }
    Ok(files.iter().map(|(_, bytes, _)| bytes).sum())
}
