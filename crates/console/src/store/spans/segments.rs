//! Append-only files of records with checksums.
//!
//! A full block is appended to the newest segment. Spans that do not yet fill a block are appended to the
//! journal, which is emptied once a segment contains them.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Magic number of each file.
const MAGIC: &[u8; 16] = b"console spans 1\n";
/// Bytes before a record: its length and its checksum.
const RECORD_HEAD: usize = 8;
/// Maximum number of kept files that were set aside.
const MOST_SET_ASIDE: usize = 2;
/// Permissions of the files, because spans identify customers.
const FILE_MODE: u32 = 0o640;

const JOURNAL: &str = "spans.journal";
const PREFIX: &str = "spans.";
const SUFFIX: &str = ".segment";

/// Place of a record on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    offset: u64,
    length: u32,
    checksum: u32,
}

impl Place {
    /// Returns the sort key of a place; the oldest sorts first.
    pub(super) fn order(&self) -> (u64, u64) {
        (self.segment, self.offset)
    }
}

#[derive(Debug)]
struct Segment {
    number: u64,
    size: u64,
}

/// The files of a directory.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    bound: u64,
    segments: VecDeque<Segment>,
    newest: Option<File>,
    next: u64,
    journal: File,
    journal_size: u64,
    set_aside: Vec<(PathBuf, String)>,
}

impl Segments {
    /// Opens the files of a directory. Passes the content of all records to `each` with their places, the
    /// newest files first; those of the journal have none. It returns false if the record is damaged.
    pub(super) fn open(
        directory: &Path,
        bound: u64,
        mut each: impl FnMut(&[u8], Option<Place>) -> bool,
    ) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut numbers: Vec<u64> = Vec::new();
        for entry in fs::read_dir(directory)?.flatten() {
            numbers.extend(entry.file_name().to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        let mut segments = Self {
            directory: directory.to_path_buf(),
            bound,
            segments: VecDeque::new(),
            newest: None,
            next: numbers.last().map_or(1, |last| last + 1),
            journal: open_file(&directory.join(JOURNAL))?,
            journal_size: 0,
            set_aside: Vec::new(),
        };
        segments.load_journal(&mut each)?;
        let mut rescued = Vec::new();
        for number in numbers.into_iter().rev() {
            segments.load(number, &mut each, &mut rescued)?;
        }
        for content in rescued {
            let place = segments.append(&content)?;
            each(&content, Some(place));
        }
        segments.limit_set_aside();
        Ok(segments)
    }

    /// Loads a segment. Adds the valid records of a damaged file to `rescued`.
    fn load(
        &mut self,
        number: u64,
        each: &mut impl FnMut(&[u8], Option<Place>) -> bool,
        rescued: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let path = self.path(number);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.set_aside.push((path, error.to_string()));
                return Ok(());
            }
        };
        let (mut good, mut damaged) = (Vec::new(), 0);
        let end = records(&bytes, |content, offset, checksum| match checksum == checksum_of(content) {
            true => good
                .push((content, Place { segment: number, offset, length: content.len() as u32, checksum })),
            false => damaged += 1,
        });
        let Some(end) = end else {
            self.rename(&path, "unknown", "it is not in the format of this version".to_owned());
            return Ok(());
        };
        if damaged > 0 {
            rescued.extend(good.into_iter().map(|(content, _)| content.to_vec()));
            self.rename(&path, "damaged", format!("{damaged} of its records are damaged"));
            return Ok(());
        }
        let rest = bytes.len() - end;
        if rest > 0 {
            let reason = format!("its last {rest} bytes are no whole record and were cut off");
            OpenOptions::new().write(true).open(&path)?.set_len(end as u64)?;
            self.set_aside.push((path.clone(), reason));
        }
        let unreadable = good.into_iter().filter(|(content, place)| !each(content, Some(*place))).count();
        if unreadable > 0 {
            self.set_aside
                .push((path, format!("{unreadable} of its records are not in the format of this version")));
        }
        self.segments.push_front(Segment { number, size: end as u64 });
        Ok(())
    }

    fn load_journal(&mut self, each: &mut impl FnMut(&[u8], Option<Place>) -> bool) -> io::Result<()> {
        let path = self.directory.join(JOURNAL);
        let mut bytes = Vec::new();
        self.journal.read_to_end(&mut bytes)?;
        let mut damaged = 0;
        let end = records(&bytes, |content, _, checksum| {
            if checksum != checksum_of(content) || !each(content, None) {
                damaged += 1;
            }
        });
        let reason = match end {
            None if !bytes.is_empty() => Some("it is not in the format of this version".to_owned()),
            _ if damaged > 0 => Some(format!("{damaged} of its records are damaged")),
            _ => None,
        };
        match reason {
            Some(reason) => {
                self.rename(&path, "damaged", reason);
                self.journal = open_file(&path)?;
            }
            None => {
                let end = end.unwrap_or(0) as u64;
                self.journal.set_len(end)?;
                self.journal_size = end;
            }
        }
        Ok(())
    }

    fn rename(&mut self, path: &Path, ending: &str, reason: String) {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        let reason = match fs::rename(path, &name) {
            Ok(()) => reason,
            Err(error) => format!("{reason}; it cannot be renamed: {error}"),
        };
        self.set_aside.push((PathBuf::from(name), reason));
    }

    /// Deletes all but the newest files that were set aside.
    fn limit_set_aside(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let is_set_aside = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(PREFIX) && (name.ends_with(".damaged") || name.ends_with(".unknown"))
        };
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_set_aside).collect();
        paths.sort();
        for path in &paths[..paths.len().saturating_sub(MOST_SET_ASIDE)] {
            // A file that cannot be deleted only takes space.
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{PREFIX}{number:06}{SUFFIX}"))
    }

    /// Appends a record to the newest segment.
    pub(super) fn append(&mut self, content: &[u8]) -> io::Result<Place> {
        let is_full = self.segments.back().is_none_or(|segment| segment.size >= self.bound / 16);
        if self.newest.is_none() || is_full {
            let number = self.next;
            let mut file = open_file(&self.path(number))?;
            self.next += 1;
            file.write_all(MAGIC)?;
            self.newest = Some(file);
            self.segments.push_back(Segment { number, size: MAGIC.len() as u64 });
        }
        let (Some(file), Some(segment)) = (self.newest.as_mut(), self.segments.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let checksum = checksum_of(content);
        if let Err(error) = file.write_all(&record(content, checksum)) {
            // A partial record is truncated at the next start.
            self.newest = None;
            return Err(error);
        }
        let offset = segment.size + RECORD_HEAD as u64;
        segment.size = offset + content.len() as u64;
        Ok(Place { segment: segment.number, offset, length: content.len() as u32, checksum })
    }

    /// Appends a record to the journal.
    pub(super) fn append_to_journal(&mut self, content: &[u8]) -> io::Result<()> {
        let mut bytes = if self.journal_size == 0 { MAGIC.to_vec() } else { Vec::new() };
        bytes.extend_from_slice(&record(content, checksum_of(content)));
        if let Err(error) = self.journal.write_all_at(&bytes, self.journal_size) {
            let _ = self.journal.set_len(self.journal_size);
            return Err(error);
        }
        self.journal_size += bytes.len() as u64;
        Ok(())
    }

    /// Empties the journal. Call it once a segment contains its spans.
    pub(super) fn clear_journal(&mut self) -> io::Result<()> {
        self.journal_size = 0;
        self.journal.set_len(0)
    }

    /// Deletes the oldest segment if the disk bound is exceeded, and returns its number.
    pub(super) fn delete_oldest(&mut self) -> Option<u64> {
        if self.bytes() <= self.bound || self.segments.len() < 2 {
            return None;
        }
        let segment = self.segments.pop_front()?;
        let _ = fs::remove_file(self.path(segment.number));
        Some(segment.number)
    }

    /// Reads a record. Returns `None` if it is damaged or gone.
    pub(super) fn read(&self, place: Place) -> Option<Vec<u8>> {
        let file = File::open(self.path(place.segment)).ok()?;
        let mut content = vec![0; place.length as usize];
        file.read_exact_at(&mut content, place.offset).ok()?;
        (checksum_of(&content) == place.checksum).then_some(content)
    }

    /// Returns the bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum::<u64>() + self.journal_size
    }

    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    /// Returns the files that were set aside or truncated, with the reason.
    pub(super) fn set_aside(&self) -> &[(PathBuf, String)] {
        &self.set_aside
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn checksum_of(content: &[u8]) -> u32 {
    let mut checksum = flate2::Crc::new();
    checksum.update(content);
    checksum.sum()
}

fn record(content: &[u8], checksum: u32) -> Vec<u8> {
    let mut record = Vec::with_capacity(RECORD_HEAD + content.len());
    record.extend_from_slice(&(content.len() as u32).to_le_bytes());
    record.extend_from_slice(&checksum.to_le_bytes());
    record.extend_from_slice(content);
    record
}

/// Passes the content of complete records to `each`, with offset and stored checksum. Returns the end of the
/// last complete record, or `None` if the file has another format.
fn records<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8], u64, u32)) -> Option<usize> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    while let Some((head, after)) = rest.split_first_chunk::<RECORD_HEAD>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some((content, after)) = after.split_at_checked(length) else { break };
        let offset = bytes.len() - rest.len() + RECORD_HEAD;
        each(content, offset as u64, u32::from_le_bytes([e, f, g, h]));
        rest = after;
    }
    Some(bytes.len() - rest.len())
}
