//! Severity of log lines.

use crate::ClosedSet;
use crate::metric::Label;

/// Severity of a log line, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step, for tracking down one fault.
    Trace,
    /// Details that only developers need.
    Debug,
    /// Events that an operator wants to be able to look up.
    Info,
    /// Something is wrong, but the application handled it.
    Warn,
    /// An operation failed.
    Error,
    /// The process cannot continue.
    Fatal,
}

impl ClosedSet for Level {
    const ALL: &'static [Self] =
        &[Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Level {
    /// Returns the severity number that OpenTelemetry assigns to this level.
    pub fn severity_number(self) -> u8 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }
}

impl Label for Level {
    const KEY: &'static str = "level";
}
