//! Outcomes of operations.

use crate::metric::Label;
use crate::{ClosedSet, ErrorType, Level};

/// The outcomes of a family of operations. A member whose [`as_str`](crate::ClosedSet::as_str) is
/// empty has no label, as the conventions demand of `error.type` when there was no error.
pub trait Outcome: Label {
    /// The outcome of an operation whose future was dropped before it ended.
    const ABANDONED: Self;

    /// Returns the level of the log line.
    fn level(self) -> Level;

    /// Returns whether the span's status is `ERROR`.
    fn is_error(self) -> bool;
}

/// The outcome of a database operation, which decides the level of its line and the status of its
/// span. Records name the [`ErrorType`] and the code of the response instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ClosedSet)]
#[label("error.type")]
pub enum DatabaseOutcome {
    /// The operation succeeded.
    #[spelling("")]
    Ok,
    /// The database could not be reached, or the pool had no connection.
    Unavailable,
    /// The operation exceeded its time limit.
    Timeout,
    /// A constraint or a concurrent transaction rejected it, which callers expect.
    Conflict,
    /// The caller dropped the operation.
    Cancelled,
    /// Any other error; it indicates a defect.
    Other,
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

/// The outcome of one run of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ClosedSet)]
#[label("outcome")]
pub enum JobOutcome {
    /// The job is done.
    Ok,
    /// The recipient rejects the work, and nobody here can change that. The job does not run again
    /// and needs no attention.
    Rejected,
    /// The run failed and will be retried.
    Retry,
    /// The run failed permanently and the job waits for an operator.
    Dead,
    /// The lease ran out and another worker took the job over. This run does not count as the job's
    /// end.
    LostLease,
    /// The process is shutting down, and the job went back to the queue.
    HandedBack,
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
