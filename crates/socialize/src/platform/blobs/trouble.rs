//! Reduces errors of the object store library to recordable types.

use std::error::Error as StdError;
use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use telemetry::ErrorType;

use super::error::BlobError;

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
        // A refused connection has an `io::Error` as its source.
        Some(HttpErrorKind::Connect) => ErrorType::DnsFailure,
        Some(HttpErrorKind::Request | HttpErrorKind::Interrupted) => ErrorType::ConnectionReset,
        Some(HttpErrorKind::Decode) => ErrorType::Protocol,
        // Responses such as 503 have no source with more detail.
        _ => ErrorType::Unavailable,
    }
}

/// The error and all its sources.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| cause(*error))
}

/// An `io::Error` that wraps another error does not return it as its source.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
