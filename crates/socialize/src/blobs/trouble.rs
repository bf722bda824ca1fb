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
    if causes(error).any(|cause| cause.is::<rustls::Error>()) {
        return ErrorType::TlsFailure;
    }
    if let Some(error) = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last() {
        return ErrorType::from_io(error);
    }
    match causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind) {
        Some(HttpErrorKind::Timeout) => ErrorType::Timeout,
        // A connection that was refused has a cause of the operating system.
        Some(HttpErrorKind::Connect) => ErrorType::DnsFailure,
        Some(HttpErrorKind::Request | HttpErrorKind::Interrupted) => ErrorType::ConnectionReset,
        Some(HttpErrorKind::Decode) => ErrorType::Protocol,
        // Answers that say that the server cannot serve now have no cause that tells more.
        _ => ErrorType::Unavailable,
    }
}

/// The error and all its causes.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| cause(*error))
}

/// An error of the operating system that only wraps another one does not name it as its cause.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
