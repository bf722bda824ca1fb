//! The closed set to which every failure is reduced before it is recorded.
//!
//! The text of a library's error may quote a customer's value: Postgres's unique violation names
//! the e-mail address that is taken. No such text ever reaches a signal. The boundary where the
//! error arrives picks one of these instead.

use std::io;

use crate::ClosedSet;

/// The kind of a failure, recorded as `error.type` in log lines, spans and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("error.type")]
pub enum ErrorType {
    /// The operation took longer than its limit.
    Timeout,
    /// The caller disconnected or cancelled the operation.
    Cancelled,
    /// The code panicked.
    Panic,
    /// The peer's address has no listener.
    ConnectionRefused,
    /// The peer, or the network in between, reset the connection.
    ConnectionReset,
    /// The peer's name could not be resolved.
    DnsFailure,
    /// No trusted TLS connection could be established.
    TlsFailure,
    /// Any other failure of the operating system.
    Io,
    /// The peer violated the protocol.
    Protocol,
    /// The peer reports that it cannot serve now, or it is unreachable.
    Unavailable,
    /// No connection of the pool became free in time.
    PoolTimeout,
    /// The pool is shut down.
    PoolClosed,
    /// The value already exists.
    UniqueViolation,
    /// A row refers to another that does not exist, or is still referred to.
    ForeignKeyViolation,
    /// A value violates a check constraint.
    CheckViolation,
    /// A required value is missing.
    NotNullViolation,
    /// The transaction conflicts with a concurrent one and may be retried.
    SerializationFailure,
    /// The database aborted the transaction to break a deadlock; it may be retried.
    Deadlock,
    /// A lock was not free in time.
    LockTimeout,
    /// The database cancelled a statement because it ran too long or on request.
    StatementTimeout,
    /// The database accepts no writes.
    ReadOnly,
    /// The database accepts no more connections.
    TooManyConnections,
    /// Any other error that the database reports.
    DatabaseOther,
    /// Data could not be decoded or has an impossible value.
    InvalidData,
    /// The peer rejected the request permanently.
    Rejected,
    /// The peer does not accept the credentials.
    AuthenticationFailed,
    /// The operating system or the peer forbids the operation.
    PermissionDenied,
    /// An object that the operation needs does not exist.
    NotFound,
    /// Calls to this address are not allowed.
    ForbiddenAddress,
    /// The peer requests a lower rate.
    RateLimited,
    /// The disk, the quota or the bucket is full.
    StorageFull,
    /// The lease ran out and another worker took over.
    LostLease,
    /// The result is too old to be trusted.
    Stale,
    /// A defect of Socialize without a more specific type.
    Internal,
}

impl ErrorType {
    /// Maps an error of the operating system, or of a library that wraps one, to its kind.
    pub fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind;
        match error.kind() {
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Self::ConnectionReset,
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => Self::Unavailable,
            ErrorKind::InvalidData | ErrorKind::InvalidInput => Self::InvalidData,
            ErrorKind::PermissionDenied => Self::PermissionDenied,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            // A full disk, an exhausted quota and a file at its size limit all mean that nothing
            // more can be stored.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::StorageFull,
            _ => Self::Io,
        }
    }

    /// Maps the five-character code of a database error (SQLSTATE, as documented by Postgres) to
    /// its kind.
    pub fn from_sqlstate(code: &str) -> Self {
        match code {
            "23505" => Self::UniqueViolation,
            "23503" => Self::ForeignKeyViolation,
            "23514" => Self::CheckViolation,
            "23502" => Self::NotNullViolation,
            "40001" => Self::SerializationFailure,
            "40P01" => Self::Deadlock,
            "55P03" => Self::LockTimeout,
            "57014" => Self::StatementTimeout,
            "25006" => Self::ReadOnly,
            "53300" => Self::TooManyConnections,
            "53100" => Self::StorageFull,
            "42501" => Self::PermissionDenied,
            // The server is starting or stopping, or an administrator ended the connection.
            "57P01" | "57P02" | "57P03" => Self::Unavailable,
            // The server, or a pooler in front of it, uses another protocol or version.
            "08P01" => Self::Protocol,
            _ => match code.get(..2) {
                Some("08") => Self::ConnectionReset,
                Some("22") => Self::InvalidData,
                Some("28") => Self::AuthenticationFailed,
                _ => Self::DatabaseOther,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_member_has_its_position_and_a_spelling_of_its_own() {
        let mut spellings = HashSet::new();
        for (position, member) in ErrorType::ALL.iter().enumerate() {
            assert_eq!(member.index(), position, "{member:?}");
            assert!(spellings.insert(member.as_str()), "{member:?} shares its spelling");
            assert!(
                member.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{member:?}"
            );
        }
        assert_eq!(ErrorType::ALL.last(), Some(&ErrorType::Internal), "the last variant is missing from ALL");
        assert_eq!(ErrorType::Internal as usize + 1, ErrorType::ALL.len());
    }

    #[test]
    fn errors_of_the_operating_system_are_told_apart() {
        for (code, expected) in [
            (111, ErrorType::ConnectionRefused),
            (104, ErrorType::ConnectionReset),
            (32, ErrorType::ConnectionReset),
            (110, ErrorType::Timeout),
            (113, ErrorType::Unavailable),
            (28, ErrorType::StorageFull),
            (27, ErrorType::StorageFull),
            (122, ErrorType::StorageFull),
            (13, ErrorType::PermissionDenied),
            (2, ErrorType::NotFound),
            (30, ErrorType::ReadOnly),
            (5, ErrorType::Io),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(ErrorType::from_io(&error), expected, "errno {code}");
        }
    }

    #[test]
    fn database_codes_are_told_apart() {
        for (code, expected) in [
            ("23505", ErrorType::UniqueViolation),
            ("40P01", ErrorType::Deadlock),
            ("08006", ErrorType::ConnectionReset),
            ("57P03", ErrorType::Unavailable),
            ("22021", ErrorType::InvalidData),
            ("28P01", ErrorType::AuthenticationFailed),
            ("42703", ErrorType::DatabaseOther),
            ("", ErrorType::DatabaseOther),
            ("ä", ErrorType::DatabaseOther),
        ] {
            assert_eq!(ErrorType::from_sqlstate(code), expected, "{code}");
        }
    }
}
