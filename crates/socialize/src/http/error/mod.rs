//! Errors of the API. Codes are stable; causes never leave the process.

pub mod responses;

use std::borrow::Cow;
use std::io;
use std::panic::Location;

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalogue::labels::ErrorCode;
use domain::approval::Refusal;
use domain::feedback::TriageRefusal;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use telemetry::http_server::{Abandoned, REQUEST_ID};
use telemetry::{ClosedSet, ErrorType, TraceId};
use utoipa::ToSchema;

use crate::platform::blobs::BlobError;
use crate::platform::database::DatabaseError;
use crate::platform::passwords::HashingError;
use crate::platform::quotas::QuotaReached;
use crate::platform::rate_limit::LimitError;

/// Message for a client whose body ended before it was complete.
const INCOMPLETE_BODY: &str = "The body ended before it was complete.";

/// Reasons why a request failed.
#[derive(Debug)]
pub enum Error {
    /// The caller can fix it.
    Refused {
        code: ErrorCode,
        /// Says what was wrong and what would be valid.
        message: Cow<'static, str>,
        /// Seconds after which a retry makes sense.
        retry_after_seconds: Option<u64>,
    },
    /// The caller cannot fix it. The cause's message is dropped where it occurs, because it may quote a
    /// customer's value.
    Failed {
        error_type: ErrorType,
        /// Source location of Socialize that received the error.
        location: &'static Location<'static>,
    },
    /// The client disconnected before its body was complete. The response is for clients that only closed
    /// their sending side; the request is recorded as cancelled.
    Abandoned,
}

/// Body of every error response.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// Stable identifier of the error.
    #[schema(value_type = String, example = "not_found")]
    code: &'static str,
    /// Human-readable description of what was wrong and what would be valid.
    message: Cow<'static, str>,
    /// Identifies this request in the operator's logs; also sent as `x-request-id`.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    request_id: String,
}

impl Error {
    pub fn refused(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { code, message: message.into(), retry_after_seconds: None }
    }

    /// The resource does not exist, or the caller may not know that it does.
    pub fn not_found(what: &str) -> Self {
        Self::refused(ErrorCode::NotFound, format!("There is no such {what}, or you have no access to it."))
    }

    /// The caller is known but lacks the permission.
    pub fn forbidden(message: &'static str) -> Self {
        Self::refused(ErrorCode::Forbidden, message)
    }

    /// A field has an invalid value.
    pub fn invalid_field(field: &str, problem: &str) -> Self {
        Self::refused(ErrorCode::InvalidField, format!("{field}: {problem}"))
    }

    pub fn rate_limited(message: &'static str, retry_after_seconds: u64) -> Self {
        let retry_after_seconds = Some(retry_after_seconds);
        Self::Refused { code: ErrorCode::RateLimited, message: message.into(), retry_after_seconds }
    }

    /// A failure that is not the caller's fault.
    #[track_caller]
    pub fn failed(error_type: ErrorType) -> Self {
        Self::Failed { error_type, location: Location::caller() }
    }

    /// Classifies a body that cannot be read to its end: it violates the protocol, or the client or its
    /// connection is gone.
    pub fn broken_body(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        let is_malformed = causes.any(|cause| {
            let is_chunk = cause.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
            });
            // h2 resets a stream whose body does not match its Content-Length.
            is_chunk || cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_library)
        });
        if is_malformed {
            let message = "The framing of the body is invalid: a chunk or its length is wrong.";
            Self::refused(ErrorCode::MalformedRequest, message)
        } else {
            Self::Abandoned
        }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Abandoned => ErrorCode::MalformedRequest,
            Self::Failed { error_type, .. } => code_of_failure(*error_type),
        }
    }
}

/// Returns the code, and thereby the status, of a failure that the caller cannot fix. It depends on the failure
/// alone: the outcomes under which metrics and lines group failures may change without changing the API.
fn code_of_failure(error_type: ErrorType) -> ErrorCode {
    match error_type {
        ErrorType::Timeout | ErrorType::StatementTimeout => ErrorCode::Timeout,
        // A dependency is down, overloaded or out of space.
        ErrorType::ConnectionRefused
        | ErrorType::ConnectionReset
        | ErrorType::DnsFailure
        | ErrorType::TlsFailure
        | ErrorType::Io
        | ErrorType::Unavailable
        | ErrorType::PoolTimeout
        | ErrorType::PoolClosed
        | ErrorType::ReadOnly
        | ErrorType::StorageFull
        | ErrorType::TooManyConnections
        // The transaction gave way to another one; a retry succeeds.
        | ErrorType::SerializationFailure
        | ErrorType::Deadlock
        | ErrorType::LockTimeout => ErrorCode::Unavailable,
        // Defects, and failures that are final unless a handler translates them.
        ErrorType::Cancelled
        | ErrorType::Panic
        | ErrorType::Protocol
        | ErrorType::UniqueViolation
        | ErrorType::ForeignKeyViolation
        | ErrorType::CheckViolation
        | ErrorType::NotNullViolation
        | ErrorType::DatabaseOther
        | ErrorType::InvalidData
        | ErrorType::Rejected
        | ErrorType::AuthenticationFailed
        | ErrorType::PermissionDenied
        | ErrorType::NotFound
        | ErrorType::ForbiddenAddress
        | ErrorType::RateLimited
        | ErrorType::LostLease
        | ErrorType::Stale
        | ErrorType::Internal => ErrorCode::Internal,
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::refused(ErrorCode::TransitionRefused, refusal.message())
    }
}

impl From<TriageRefusal> for Error {
    fn from(refusal: TriageRefusal) -> Self {
        Self::refused(ErrorCode::TransitionRefused, refusal.message())
    }
}

/// Foreign keys to the caller, in statements that run without looking up the caller first.
const REFERENCES_TO_THE_CALLER: [&str; 3] =
    ["organizations_created_by_fkey", "feedback_reports_reporter_id_fkey", "idempotency_keys_user_id_fkey"];

impl From<DatabaseError> for Error {
    #[track_caller]
    fn from(error: DatabaseError) -> Self {
        // The token is valid but its account no longer exists, for example after restoring an older backup.
        if REFERENCES_TO_THE_CALLER.iter().any(|constraint| error.violates(constraint)) {
            let message = "The account of this access token does not exist.";
            return Error::refused(ErrorCode::Unauthenticated, message);
        }
        Error::failed(error.error_type)
    }
}

impl From<BlobError> for Error {
    #[track_caller]
    fn from(BlobError(error_type): BlobError) -> Self {
        Error::failed(match error_type {
            ErrorType::Timeout => ErrorType::Timeout,
            // The file is lost or corrupt: a retry does not help.
            ErrorType::NotFound | ErrorType::InvalidData => ErrorType::InvalidData,
            // A network or store failure; the operation's own record has the details.
            _ => ErrorType::Unavailable,
        })
    }
}

impl From<HashingError> for Error {
    #[track_caller]
    fn from(HashingError(error_type): HashingError) -> Self {
        Error::failed(error_type)
    }
}

impl From<LimitError> for Error {
    #[track_caller]
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Reached { message, retry_after_seconds } => {
                Error::rate_limited(message, retry_after_seconds)
            }
            LimitError::Failed(error) => error.into(),
        }
    }
}

impl From<QuotaReached> for Error {
    fn from(QuotaReached(message): QuotaReached) -> Self {
        Error::refused(ErrorCode::QuotaReached, message)
    }
}

pub fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::MalformedRequest => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated | ErrorCode::InvalidCredentials => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::EmailNotVerified | ErrorCode::QuotaReached => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::Conflict
        | ErrorCode::AlreadyExists
        | ErrorCode::TransitionRefused
        | ErrorCode::PublishingEndpointMissing => StatusCode::CONFLICT,
        ErrorCode::LinkExpired => StatusCode::GONE,
        ErrorCode::VersionMismatch => StatusCode::PRECONDITION_FAILED,
        ErrorCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::InvalidField | ErrorCode::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Unavailable | ErrorCode::Timeout => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Response extension with the error code, until the router, which holds the signals, has counted it.
#[derive(Clone, Copy)]
pub struct ResponseCode(pub ErrorCode);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let code = self.code();
        let (message, retry_after_seconds) = match self {
            Self::Refused { message, retry_after_seconds, .. } => (shortened(message), retry_after_seconds),
            Self::Abandoned => {
                let trace_id = telemetry::current::context().map(|context| context.trace_id);
                let mut response = respond(code, INCOMPLETE_BODY.into(), None, trace_id);
                // A client that disconnects is not an error of the API and is not counted.
                response.extensions_mut().remove::<ResponseCode>();
                response.extensions_mut().insert(Abandoned);
                return response;
            }
            Self::Failed { error_type, location } => {
                telemetry::current::fail(error_type, location);
                match code {
                    ErrorCode::Unavailable => ("Socialize is temporarily unavailable. Please try again \
                                                shortly.".into(), Some(1)),
                    ErrorCode::Timeout => ("The request took too long. Please try again.".into(), Some(1)),
                    _ => ("Something went wrong on our side. Please try again, and mention the request id if it keeps \
                           happening.".into(), None),
                }
            }
        };
        let trace_id = telemetry::current::context().map(|context| context.trace_id);
        respond(code, message, retry_after_seconds, trace_id)
    }
}

/// Shortens a message in the middle. It may quote an unknown field of any length; beginning and end say what
/// is wrong and what would be valid.
fn shortened(message: Cow<'static, str>) -> Cow<'static, str> {
    const LIMIT: usize = 400;
    if message.len() <= LIMIT {
        return message;
    }
    let (beginning, _) = message.split_at(message.floor_char_boundary(LIMIT / 2));
    let (_, end) = message.split_at(message.ceil_char_boundary(message.len() - LIMIT / 2));
    format!("{beginning} … {end}").into()
}

/// Response to a request whose handler panicked.
pub fn panic_response(trace_id: TraceId) -> Response {
    let message = "Something went wrong on our side. Please mention the request id if it keeps happening.";
    respond(ErrorCode::Internal, message.into(), None, Some(trace_id))
}

/// Replaces a response for which there is no memory. The request id is already assigned.
pub(crate) fn overloaded_response(request_id: Option<HeaderValue>) -> Response {
    let message = "Socialize is temporarily unavailable. Please try again shortly.";
    let mut response = respond(ErrorCode::Unavailable, message.into(), Some(1), None);
    if let Some(request_id) = request_id {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    response
}

fn respond(
    code: ErrorCode,
    message: Cow<'static, str>,
    retry_after_seconds: Option<u64>,
    trace_id: Option<TraceId>,
) -> Response {
    let request_id = trace_id.map(|trace_id| trace_id.to_string()).unwrap_or_default();
    let body = Json(ErrorBody { code: code.as_str(), message, request_id });
    let mut response = (status(code), body).into_response();
    response.extensions_mut().insert(ResponseCode(code));
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(code, ErrorCode::BodyTooLarge | ErrorCode::RequestTimeout) {
        // The rest of the body may still arrive and must not be read as the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status(code) == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures with a status other than 500, repeated here so that a change of [`ErrorType`] or of its
    /// labels cannot change the API unnoticed.
    const STATUSES: &[(&str, u16, &str)] = &[
        ("timeout", 503, "timeout"),
        ("statement_timeout", 503, "timeout"),
        ("connection_refused", 503, "unavailable"),
        ("connection_reset", 503, "unavailable"),
        ("dns_failure", 503, "unavailable"),
        ("tls_failure", 503, "unavailable"),
        ("io", 503, "unavailable"),
        ("unavailable", 503, "unavailable"),
        ("pool_timeout", 503, "unavailable"),
        ("pool_closed", 503, "unavailable"),
        ("read_only", 503, "unavailable"),
        ("storage_full", 503, "unavailable"),
        ("too_many_connections", 503, "unavailable"),
        ("serialization_failure", 503, "unavailable"),
        ("deadlock", 503, "unavailable"),
        ("lock_timeout", 503, "unavailable"),
    ];

    #[test]
    fn the_status_of_a_failure_follows_from_the_failure() {
        for error_type in ErrorType::ALL {
            let row = STATUSES.iter().find(|(name, ..)| *name == error_type.as_str());
            let (status, code) = row.map_or((500, "internal"), |(_, status, code)| (*status, *code));
            let error = Error::failed(*error_type);
            assert_eq!(error.code().as_str(), code, "{error_type:?}");
            let response = error.into_response();
            assert_eq!(response.status(), status, "{error_type:?}");
            let retry_after = response.headers().get(header::RETRY_AFTER).map(HeaderValue::as_bytes);
            assert_eq!(retry_after, (status == 503).then_some(&b"1"[..]), "{error_type:?}");
        }
        let exists = |name: &str| ErrorType::ALL.iter().any(|error_type| error_type.as_str() == name);
        assert!(STATUSES.iter().all(|(name, ..)| exists(name)), "a row names no kind of failure");
    }

    #[test]
    fn the_status_of_a_failure_of_the_store_follows_from_the_failure() {
        for error_type in ErrorType::ALL {
            let expected = match error_type.as_str() {
                // The file is gone or changed.
                "not_found" | "invalid_data" => 500,
                _ => 503,
            };
            let response = Error::from(BlobError(*error_type)).into_response();
            assert_eq!(response.status(), expected, "{error_type:?}");
        }
    }
}
