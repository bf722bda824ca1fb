//! Destinations of log lines, and the errors that can occur at start.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

/// Format of lines on standard output. The file always contains JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// Aligned columns, for people.
    Pretty {
        /// If true, levels are coloured. Set it to false if the variable `NO_COLOR` is set.
        color: bool,
    },
}

impl LogFormat {
    /// Chooses `Pretty` if standard output is a terminal, and `Json` otherwise.
    pub fn for_stdout(color: bool) -> Self {
        if io::stdout().is_terminal() { Self::Pretty { color } } else { Self::Json }
    }
}

/// Destinations of log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Format on standard output, or `None` to write nothing there.
    pub stdout: Option<LogFormat>,
    /// The log file, if one is wanted.
    pub file: Option<LogFileSettings>,
    /// Maximum time that a line waits to be written. A killed process loses no more than that.
    pub interval: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { stdout: Some(LogFormat::Json), file: None, interval: Duration::from_millis(100) }
    }
}

/// Location and size limits of the log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFileSettings {
    /// Path of the file being written. Missing directories are created.
    pub path: PathBuf,
    /// Size in bytes at which the file is rotated.
    pub max_bytes: u64,
    /// Number of rotated files that are kept besides the one being written.
    pub keep: usize,
}

impl LogFileSettings {
    /// Minimum of `max_bytes`: below it nearly every line would begin a file.
    pub const SMALLEST_MAX_BYTES: u64 = 1024;
}

/// Reasons why logging cannot start. Each message names the setting to change.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file's directory does not exist and cannot be created.
    #[error("cannot create the directory {path} of the log file: {source}")]
    CreateDirectory {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file cannot be opened for appending.
    #[error("cannot open the log file {path} for appending: {source}")]
    Open {
        /// Path of the log file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another process is writing this file.
    #[error("the log file {path} is being written by another process: give each process a file of its own")]
    InUse {
        /// Path of the log file.
        path: PathBuf,
    },
    /// The path ends without a file name.
    #[error("the log file {path} is not a file name: name a file such as /var/log/socialize/serve.jsonl")]
    NotAFileName {
        /// The configured path.
        path: PathBuf,
    },
    /// The configured size limit is too small.
    #[error("the log file's size limit is {given} bytes: it must be at least {smallest}")]
    MaxBytesTooSmall {
        /// The configured limit in bytes.
        given: u64,
        /// The minimum in bytes.
        smallest: u64,
    },
    /// The number of files to keep is zero.
    #[error(
        "the number of log files to keep is 0: keep at least 1, so that a collector can finish reading it"
    )]
    KeepNothing,
    /// Standard output is not usable.
    #[error("cannot write to standard output: {source}")]
    Stdout {
        /// Error of the operating system.
        source: io::Error,
    },
    /// The system refused to start a thread.
    #[error("cannot start the thread that writes log lines: {source}")]
    Thread {
        /// Error of the operating system.
        source: io::Error,
    },
}
