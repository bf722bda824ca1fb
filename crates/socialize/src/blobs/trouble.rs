//! Reduces errors of the library to what may be recorded.

use std::error::Error as StdError;
use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use telemetry::ErrorType;

use super::BlobError;

impl From<Error> for BlobError {
    fn from(error: Error) -> Self {
        BlobError(match &error {
            Error::NotFound { .. } => ErrorType::NotFound,
            Error::PermissionDenied { .. } => ErrorType::PermissionDenied,
            Error::Unauthenticated { .. } => ErrorType::AuthenticationFailed,
            Error::Generic { .. } => generic(&error),
            Error::JoinError { .. } => ErrorType::Panic,
            _ => ErrorType::Internal,
        })
    }
}

fn generic(error: &Error) -> ErrorType {
    if has_cause::<rustls::Error>(error) {
        return ErrorType::TlsFailure;
    }
    if let Some(error) = cause::<io::Error>(error) {
        return ErrorType::from_io(error);
    }
    match cause::<HttpError>(error).map(HttpError::kind) {
        Some(HttpErrorKind::Timeout) => ErrorType::Timeout,
        // A connection that was refused has a cause of the operating system.
        Some(HttpErrorKind::Connect) => ErrorType::DnsFailure,
        Some(HttpErrorKind::Request | HttpErrorKind::Interrupted) => ErrorType::ConnectionReset,
        Some(HttpErrorKind::Decode) => ErrorType::Protocol,
        // Answers that say that the server cannot serve now have no cause that tells more.
        _ => ErrorType::Unavailable,
    }
}

/// The first cause of this type.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether there is a cause of this type, also wrapped into an error of the operating system.
fn has_cause<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    let wrapped = cause::<io::Error>(error).and_then(io::Error::get_ref);
    cause::<E>(error).is_some() || wrapped.is_some_and(|wrapped| wrapped.is::<E>())
}
