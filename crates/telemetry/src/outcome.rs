//! How database operations and job runs end.

use crate::catalogue::Label;
use crate::log::Level;
use crate::operations::Outcome;
use crate::{ClosedSet, ErrorType};

/// How a database operation ended: coarse, because every named operation has a series for each. The precise error type is
/// `error.cause` in line and span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseOutcome {
    /// It succeeded.
    Ok,
    /// The database or a connection to it could not be had.
    Unavailable,
    /// It took too long.
    Timeout,
    /// A constraint or a concurrent transaction refused it, as callers expect.
    Conflict,
    /// Its caller went away.
    Cancelled,
    /// Anything else, which is a defect.
    Other,
}

impl ClosedSet for DatabaseOutcome {
    const ALL: &'static [Self] =
        &[Self::Ok, Self::Unavailable, Self::Timeout, Self::Conflict, Self::Cancelled, Self::Other];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Conflict => "conflict",
            Self::Cancelled => "cancelled",
            Self::Other => "_OTHER",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for DatabaseOutcome {
    const KEY: &'static str = "error.type";
}

impl Outcome for DatabaseOutcome {
    const ABANDONED: Self = Self::Cancelled;

    fn level(self) -> Level {
        match self {
            Self::Ok | Self::Conflict | Self::Cancelled => Level::Debug,
            Self::Unavailable | Self::Timeout => Level::Warn,
            Self::Other => Level::Error,
        }
    }

    fn is_error(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Other)
    }
}

impl From<ErrorType> for DatabaseOutcome {
    fn from(error_type: ErrorType) -> Self {
        match error_type {
            ErrorType::UniqueViolation
            | ErrorType::ForeignKeyViolation
            | ErrorType::SerializationFailure
            | ErrorType::Deadlock
            | ErrorType::LockTimeout => Self::Conflict,
            ErrorType::Timeout | ErrorType::StatementTimeout => Self::Timeout,
            ErrorType::Cancelled => Self::Cancelled,
            ErrorType::ConnectionRefused
            | ErrorType::ConnectionReset
            | ErrorType::DnsFailure
            | ErrorType::TlsFailure
            | ErrorType::Io
            | ErrorType::Unavailable
            | ErrorType::PoolTimeout
            | ErrorType::PoolClosed
            | ErrorType::ReadOnly
            | ErrorType::TooManyConnections => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Its work is done.
    Ok,
    /// Whoever its work was for does not take it, and nobody here can change that. It will not run again, and nobody has to look.
    Rejected,
    /// It failed and will run again.
    Retry,
    /// It failed for good and waits for an operator.
    Dead,
    /// Its lease ran out and somebody else has taken the job over; whatever this run did is not counted as its end.
    LostLease,
    /// The process was told to stop, and the job was handed back.
    HandedBack,
}

impl ClosedSet for JobOutcome {
    const ALL: &'static [Self] =
        &[Self::Ok, Self::Rejected, Self::Retry, Self::Dead, Self::LostLease, Self::HandedBack];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::Retry => "retry",
            Self::Dead => "dead",
            Self::LostLease => "lost_lease",
            Self::HandedBack => "handed_back",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for JobOutcome {
    const KEY: &'static str = "outcome";
}

impl Outcome for JobOutcome {
    const ABANDONED: Self = Self::HandedBack;

    fn level(self) -> Level {
        match self {
            Self::Ok | Self::Rejected | Self::HandedBack => Level::Info,
            Self::Retry | Self::LostLease => Level::Warn,
            Self::Dead => Level::Error,
        }
    }

    fn is_error(self) -> bool {
        matches!(self, Self::Retry | Self::Dead | Self::LostLease)
    }
}
