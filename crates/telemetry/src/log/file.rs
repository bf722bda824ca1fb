//! A log file that never grows beyond its size: it is set aside under a numbered name and a new one is begun.
//!
//! A collector that tails the file with saved positions loses nothing: a file is renamed exactly once and never rewritten,
//! and the names of files set aside end like the name of the file itself (`socialize.jsonl`, `socialize.000007.jsonl`), so that
//! one pattern finds them all, also after the collector was away.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::settings::{LogError, LogFileSettings};
use super::statistics::{LogDropReason, LogSink, LogStatistics, LogVolume};

/// How often it is checked that the path still leads to the open file: others may have moved or deleted it.
const IDENTITY_CHECK_INTERVAL: Duration = Duration::from_secs(1);

struct OpenFile {
    file: File,
    size: u64,
    identity: (u64, u64),
    /// The file ends with an unfinished line, left by a crash or a failed write.
    is_mid_line: bool,
}

/// The file being written, and the files set aside next to it.
pub(super) struct RotatingFile {
    settings: LogFileSettings,
    directory: PathBuf,
    name: FileName,
    open: Option<OpenFile>,
    identity_checked: Instant,
}

impl RotatingFile {
    /// Opens the file for appending, so that mistakes in the settings are found at start.
    pub(super) fn open(settings: LogFileSettings) -> Result<Self, LogError> {
        if settings.max_bytes < LogFileSettings::SMALLEST_MAX_BYTES {
            return Err(LogError::MaxBytesTooSmall {
                given: settings.max_bytes,
                smallest: LogFileSettings::SMALLEST_MAX_BYTES,
            });
        }
        if settings.keep == 0 {
            return Err(LogError::KeepNothing);
        }
        let name = FileName::of(&settings.path)
            .ok_or_else(|| LogError::NotAFileName { path: settings.path.clone() })?;
        let directory = match settings.path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let is_new = !directory.exists();
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&directory)
            .map_err(|source| LogError::CreateDirectory { path: directory.clone(), source })?;
        if is_new {
            let _ = fs::set_permissions(&directory, Permissions::from_mode(DIRECTORY_MODE));
        }
        let open = open_for_append(&settings.path)?;
        Ok(Self { settings, directory, name, open: Some(open), identity_checked: Instant::now() })
    }

    /// Writes whole lines, beginning new files where they are due. What cannot be written is counted and given up.
    pub(super) fn write(&mut self, mut lines: &[u8], statistics: &LogStatistics) {
        self.follow_path();
        while !lines.is_empty() {
            let (written, result) = self.write_some(lines, statistics);
            statistics.add_written(LogSink::File, LogVolume::of(&lines[..written]));
            lines = &lines[written..];
            if let Err(reason) = result {
                if reason == LogDropReason::Io {
                    // The open file may be beyond use, on a file system that went away for instance.
                    self.open = None;
                }
                statistics.add_dropped(LogSink::File, reason, LogVolume::of(lines));
                return;
            }
        }
    }

    /// Writes as many lines as the present file has room for. Answers how many bytes of whole lines are in the file.
    fn write_some(&mut self, lines: &[u8], statistics: &LogStatistics) -> (usize, Result<(), LogDropReason>) {
        let max_bytes = self.settings.max_bytes;
        let open = match self.opened() {
            Ok(open) => open,
            Err(error) => return (0, Err(reason_of(&error))),
        };
        let mut room = usize::try_from(max_bytes.saturating_sub(open.size)).unwrap_or(usize::MAX);
        if open.size > 0 && first_line(lines).len() > room {
            match self.rotate() {
                Ok(()) => {
                    statistics.add_rotation();
                    return (0, Ok(()));
                }
                // Growing beyond the limit is better than losing lines; it is tried again with the next ones.
                Err(_) => {
                    statistics.add_rotation_failure();
                    room = usize::MAX;
                }
            }
        }
        let Some(open) = self.open.as_mut() else { return (0, Ok(())) };
        open.append(whole_lines_within(lines, room))
    }

    fn opened(&mut self) -> Result<&mut OpenFile, LogError> {
        match self.open {
            Some(ref mut open) => Ok(open),
            None => Ok(self.open.insert(open_for_append(&self.settings.path)?)),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut numbers = self.numbers_set_aside()?;
        let next = numbers.last().map_or(1, |last| last + 1);
        match fs::rename(&self.settings.path, self.directory.join(self.name.set_aside(next))) {
            // Somebody deleted the file; what is written from now on needs a new one all the same.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.open = None,
        }
        numbers.push(next);
        for number in &numbers[..numbers.len().saturating_sub(self.settings.keep)] {
            // A file that cannot be deleted now is found again at the next rotation.
            let _ = fs::remove_file(self.directory.join(self.name.set_aside(*number)));
        }
        Ok(())
    }

    fn numbers_set_aside(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            if let Some(number) = entry?.file_name().to_str().and_then(|name| self.name.number_of(name)) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Begins the file anew when somebody else moved or deleted it, as `logrotate` does.
    fn follow_path(&mut self) {
        if self.identity_checked.elapsed() < IDENTITY_CHECK_INTERVAL {
            return;
        }
        self.identity_checked = Instant::now();
        let Some(open) = &self.open else { return };
        let is_elsewhere = match fs::metadata(&self.settings.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()) != open.identity,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_elsewhere {
            self.open = None;
        }
    }
}

impl OpenFile {
    /// Answers how many bytes of whole lines arrived. A line that did not arrive whole is taken back.
    fn append(&mut self, lines: &[u8]) -> (usize, Result<(), LogDropReason>) {
        if self.is_mid_line {
            if let Err(error) = self.file.write_all(b"\n") {
                return (0, Err(LogDropReason::from_io(&error)));
            }
            self.is_mid_line = false;
            self.size += 1;
        }
        let (written, result) = write_as_much_as_possible(&mut self.file, lines);
        let whole = match result {
            Ok(()) => written,
            Err(_) => lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        };
        self.size += whole as u64;
        if whole < written && self.file.set_len(self.size).is_err() {
            self.is_mid_line = true;
            self.size += (written - whole) as u64;
        }
        (whole, result.map_err(|error| LogDropReason::from_io(&error)))
    }
}

/// A collector that is in the group reads the files, also where the process lets its group read nothing else.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

fn open_for_append(path: &Path) -> Result<OpenFile, LogError> {
    let cannot_open = |source| LogError::Open { path: path.to_path_buf(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    if metadata.is_file() && metadata.len() == 0 {
        // A device or somebody else's file stays as it is.
        let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    }
    // Two processes would set each other's file aside. Where locks are not supported nothing can be said, and devices are shared.
    if metadata.is_file() && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(LogError::InUse { path: path.to_path_buf() });
    }
    let is_mid_line = metadata.len() > 0 && last_byte(&mut file).map_err(cannot_open)? != b'\n';
    Ok(OpenFile { file, size: metadata.len(), identity: (metadata.dev(), metadata.ino()), is_mid_line })
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn reason_of(error: &LogError) -> LogDropReason {
    match error {
        LogError::Open { source, .. } => LogDropReason::from_io(source),
        _ => LogDropReason::Io,
    }
}

/// Writes until everything is written or the operating system refuses. Answers how many bytes it took.
pub(super) fn write_as_much_as_possible(
    output: &mut impl Write,
    bytes: &[u8],
) -> (usize, Result<(), io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn first_line(lines: &[u8]) -> &[u8] {
    let end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
    &lines[..end]
}

/// The longest run of whole lines within `room` bytes, but at least one line.
fn whole_lines_within(lines: &[u8], room: usize) -> &[u8] {
    if lines.len() <= room {
        return lines;
    }
    match lines[..room].iter().rposition(|byte| *byte == b'\n') {
        Some(end) => &lines[..=end],
        None => first_line(lines),
    }
}

/// The name of the file, taken apart so that a number can be put before its ending.
struct FileName {
    stem: String,
    ending: String,
}

impl FileName {
    fn of(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_str()?.to_owned();
        let ending = match path.extension() {
            Some(extension) => format!(".{}", extension.to_str()?),
            None => String::new(),
        };
        Some(Self { stem, ending })
    }

    fn set_aside(&self, number: u64) -> String {
        format!("{}.{number:06}{}", self.stem, self.ending)
    }

    fn number_of(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.stem)?.strip_prefix('.')?.strip_suffix(self.ending.as_str())?;
        if digits.len() < 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    }
}
