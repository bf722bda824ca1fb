//! Settings of log lines.

use std::path::PathBuf;

use clap::Args;
use telemetry::log::{LevelSetting, LogFileSettings, LogFormat};

use crate::platform::settings::{number, path};

/// Settings of log lines, as they are given.
#[derive(Args)]
pub(super) struct LogArguments {
    /// Levels of the log lines that are written, e.g. info or info,sqlx=warn
    #[arg(long, value_name = "LEVELS", env = "SOCIALIZE_LOG_LEVEL", default_value = "info")]
    log_level: LevelSetting,
    /// Format of standard output: json, pretty or none [default: pretty on a terminal, json
    /// elsewhere]
    #[arg(long, value_name = "FORMAT", env = "SOCIALIZE_LOG_FORMAT", value_parser = stdout_format)]
    log_format: Option<StdoutFormat>,
    /// File to which log lines are also written as JSON, rotated by size
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_LOG_FILE", value_parser = path)]
    log_file: Option<PathBuf>,
    /// Size in bytes at which the log file is rotated
    #[arg(long, value_name = "BYTES", env = "SOCIALIZE_LOG_FILE_MAX_BYTES", default_value = "67108864")]
    #[arg(value_parser = number::<u64>(LogFileSettings::SMALLEST_MAX_BYTES..=1 << 40))]
    log_file_max_bytes: u64,
    /// Number of rotated log files to keep
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_LOG_FILE_KEEP", default_value = "5")]
    #[arg(value_parser = number::<usize>(1..=10_000))]
    log_file_keep: usize,
}

#[derive(Clone, Copy)]
enum StdoutFormat {
    Json,
    Pretty,
    None,
}

/// Destinations of log lines.
pub struct LogOutputSettings {
    /// Filter of the lines.
    pub levels: LevelSetting,
    /// Format on standard output, if lines are written there.
    pub stdout: Option<LogFormat>,
    /// The log file, if there is one.
    pub file: Option<LogFileSettings>,
}

impl LogArguments {
    /// Returns the destinations. `color` is false if the operator wants none.
    pub(super) fn outputs(self, color: bool) -> LogOutputSettings {
        let stdout = match self.log_format {
            None => Some(LogFormat::for_stdout(color)),
            Some(StdoutFormat::Json) => Some(LogFormat::Json),
            Some(StdoutFormat::Pretty) => Some(LogFormat::Pretty { color }),
            Some(StdoutFormat::None) => None,
        };
        let (max_bytes, keep) = (self.log_file_max_bytes, self.log_file_keep);
        let file = self.log_file.map(|path| LogFileSettings { path, max_bytes, keep });
        LogOutputSettings { levels: self.log_level, stdout, file }
    }
}

fn stdout_format(text: &str) -> Result<StdoutFormat, String> {
    match text {
        "json" => Ok(StdoutFormat::Json),
        "pretty" => Ok(StdoutFormat::Pretty),
        "none" => Ok(StdoutFormat::None),
        other => Err(format!("{other:?} is none of json, pretty, none")),
    }
}
