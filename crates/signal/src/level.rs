//! Severity of log lines.

use crate::ClosedSet;

/// Severity of a log line, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ClosedSet)]
#[label("level")]
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
