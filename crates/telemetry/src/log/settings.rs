//! Where log lines go, and what can be wrong with that at start.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

/// How lines look on standard output. The file always holds JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// Aligned columns, for people.
    Pretty {
        /// Whether levels are told apart by colour; not wanted where the variable `NO_COLOR` is set.
        color: bool,
    },
}

impl LogFormat {
    /// Readable when standard output is a terminal, JSON otherwise.
    pub fn for_stdout(color: bool) -> Self {
        if io::stdout().is_terminal() { Self::Pretty { color } } else { Self::Json }
    }
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The format on standard output, or `None` when nothing is written there.
    pub stdout: Option<LogFormat>,
    /// The file, if one is wanted.
    pub file: Option<LogFileSettings>,
    /// The longest time that a line waits; a killed process loses no more than that.
    pub interval: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { stdout: Some(LogFormat::Json), file: None, interval: Duration::from_millis(100) }
    }
}

/// Where the log file is and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFileSettings {
    /// The file that is written; missing directories are created.
    pub path: PathBuf,
    /// The size at which a new file is begun.
    pub max_bytes: u64,
    /// How many files are kept beside the one being written.
    pub keep: usize,
}

impl LogFileSettings {
    /// The smallest `max_bytes`: below it nearly every line would begin a file.
    pub const SMALLEST_MAX_BYTES: u64 = 1024;
}

/// Why logging could not be started. Each message names the setting to change.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory does not exist and cannot be created.
    #[error("cannot create the directory {path} of the log file: {source}")]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file cannot be opened for appending.
    #[error("cannot open the log file {path} for appending: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process writes this file.
    #[error("the log file {path} is being written by another process: give each process a file of its own")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The path ends without a file name.
    #[error("the log file {path} is not a file name: name a file such as /var/log/socialize/serve.jsonl")]
    NotAFileName {
        /// The path.
        path: PathBuf,
    },
    /// The size limit is too small.
    #[error("the log file's size limit is {given} bytes: it must be at least {smallest}")]
    MaxBytesTooSmall {
        /// What was asked for.
        given: u64,
        /// What is possible.
        smallest: u64,
    },
    /// No file would be kept.
    #[error(
        "the number of log files to keep is 0: keep at least 1, so that a collector can finish reading it"
    )]
    KeepNothing,
    /// Standard output cannot be used.
    #[error("cannot write to standard output: {source}")]
    Stdout {
        /// What the operating system said.
        source: io::Error,
    },
    /// No thread can be started.
    #[error("cannot start the thread that writes log lines: {source}")]
    Thread {
        /// What the operating system said.
        source: io::Error,
    },
}
