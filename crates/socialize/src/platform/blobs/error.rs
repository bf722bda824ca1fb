//! Errors of operations.

use telemetry::ErrorType;

/// A failed operation. The store's message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobError(pub ErrorType);

pub type Result<T> = std::result::Result<T, BlobError>;
