//! A size-limited log file: when it is full, it is renamed with a number and a new one is begun.
//!
//! A collector that tails the file with saved positions loses nothing, even if it was away. A file
//! is renamed exactly once and never rewritten. Rotated files keep the extension
//! (`socialize.jsonl`, `socialize.000007.jsonl`), so one pattern finds them all.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::settings::{LogError, LogFileSettings};
use super::statistics::{LogDropReason, LogSink, LogStatistics, LogVolume};

/// Interval of checks that the path still leads to the open file: other programs may move or delete
/// it.
const IDENTITY_CHECK_INTERVAL: Duration = Duration::from_secs(1);

struct OpenFile {
    file: File,
    size: u64,
    identity: (u64, u64),
    /// True if the file ends with an unfinished line, left by a crash or a failed write.
    is_mid_line: bool,
}

/// The open log file and the rotated files next to it.
pub(super) struct RotatingFile {
    settings: LogFileSettings,
    directory: PathBuf,
    name: FileName,
    open: Option<OpenFile>,
    identity_checked: Instant,
}

impl RotatingFile {
    /// Opens the file for appending at start, so that configuration errors are found then.
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

    /// Writes whole lines and rotates the file when it is full. Lines that cannot be written are
    /// counted and dropped.
    pub(super) fn write(&mut self, mut lines: &[u8], statistics: &LogStatistics) {
        self.follow_path();
        while !lines.is_empty() {
            let (written, result) = self.write_some(lines, statistics);
            statistics.add_written(LogSink::File, LogVolume::of(&lines[..written]));
            lines = &lines[written..];
            if let Err(reason) = result {
                if reason == LogDropReason::Io {
                    // The open file may be unusable, for instance if its file system disappeared.
                    self.open = None;
                }
                statistics.add_dropped(LogSink::File, reason, LogVolume::of(lines));
                return;
            }
        }
    }

    /// Writes as many lines as fit into the current file. Returns the bytes of whole lines written.
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
                // Exceeding the limit is better than losing lines. The next write tries to rotate
                // again.
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
            // The file has been deleted. Continue: the following lines need a new file anyway.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.open = None,
        }
        numbers.push(next);
        for number in &numbers[..numbers.len().saturating_sub(self.settings.keep)] {
            // The next rotation finds and deletes a file that cannot be deleted now.
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

    /// Opens the file that the path leads to now. The caller may do anything with a moved file
    /// afterwards.
    pub(super) fn reopen(&mut self) {
        self.check_path();
        // A failure repeats with the next line, which is then counted as lost.
        let _ = self.opened();
    }

    fn follow_path(&mut self) {
        if self.identity_checked.elapsed() >= IDENTITY_CHECK_INTERVAL {
            self.check_path();
        }
    }

    /// Reopens the file if another program, such as `logrotate`, moved, deleted or truncated it.
    fn check_path(&mut self) {
        self.identity_checked = Instant::now();
        let Some(open) = &mut self.open else { return };
        match fs::metadata(&self.settings.path) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == open.identity => {
                if metadata.len() < open.size {
                    open.size = metadata.len();
                    open.is_mid_line = false;
                }
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => self.open = None,
        }
    }
}

impl OpenFile {
    /// Appends lines and returns the bytes of whole lines written. A line that was written partly
    /// is truncated away.
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

/// A collector in the group can read the files, even if the process's umask denies its group
/// everything else.
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
        // A device, or a file of another owner, keeps its permissions.
        let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    }
    // Two processes would rotate each other's file. File systems without locks cannot be checked,
    // and devices are shared.
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

/// Writes until everything is written or the operating system returns an error. Returns the bytes
/// written.
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

/// Returns the longest run of whole lines within `room` bytes, but at least one line.
fn whole_lines_within(lines: &[u8], room: usize) -> &[u8] {
    if lines.len() <= room {
        return lines;
    }
    match lines[..room].iter().rposition(|byte| *byte == b'\n') {
        Some(end) => &lines[..=end],
        None => first_line(lines),
    }
}

/// The file's name, split so that a number can be inserted before its extension.
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
