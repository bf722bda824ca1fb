//! Closed sets whose members are values of labels, span names and log fields. Those of the domain
//! are declared there.
//!
//! Long because the closed sets form one table.

use std::time::Duration;

pub use domain::audit::AuditAction;
pub use domain::vocabulary::{ContentItemStatus, Decision, FeedbackKind, FeedbackStatus};
use signal::{ClosedSet, ErrorType, Level, Outcome};

/// Kinds of background jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
// Not `job`, which Prometheus reserves for the service that a series comes from.
#[label("job.kind")]
pub enum JobKind {
    /// Hands one e-mail of the outbox to the mail server.
    SendEmail,
    /// Marks invites as expired after their seven days.
    ExpireInvites,
    /// Deletes tokens, idempotency keys and sessions that can no longer be used.
    CleanUpTokens,
    /// Deletes blobs without a row: from abandoned uploads and after deletions.
    CleanUpBlobs,
    /// Reminds reviewers of content items that have been in approval for too long.
    RemindStaleApprovals,
    /// Delivers one content item to the publishing endpoint of its workspace.
    PublishContentItem,
    /// Gives up deliveries that no job works on any more.
    GiveUpPublishing,
}

/// The e-mails that Socialize sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("template")]
pub enum EmailTemplate {
    /// Asks a new user to confirm the address.
    VerifyEmail,
    /// Tells the owner of an address that somebody tried to register it again.
    AlreadyRegistered,
    /// Carries the link that sets a new password.
    ResetPassword,
    /// Invites somebody into a workspace.
    WorkspaceInvite,
    /// Asks a reviewer for a decision.
    ApprovalRequested,
    /// Reminds a reviewer of a decision that was requested long ago.
    ApprovalReminder,
    /// Tells an author the reviewers' decision.
    ApprovalDecided,
    /// Shows an operator that e-mails arrive.
    Test,
}

/// Outcome of one attempt to deliver an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("outcome")]
pub enum EmailOutcome {
    /// The mail server accepted it.
    Delivered,
    /// The attempt failed and will be retried.
    Deferred,
    /// The recipient's side rejected it permanently: the mailbox does not exist or accepts nothing.
    Rejected,
    /// The server rejected the e-mail permanently because of its contents or sender.
    Refused,
}

/// Result of an e-mail over all delivery attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("result")]
pub enum EmailResult {
    /// The mail server accepted it.
    Delivered,
    /// The recipient's side rejected it, permanently or until the last attempt. Nobody here can
    /// change that.
    Rejected,
    /// It has been failing for too long, and not because of its recipient. Retries continue, so it
    /// may still be delivered.
    Delayed,
    /// It was given up, and not because of its recipient.
    GivenUp,
}

/// The stage of an SMTP session that failed. A reply means different things at different stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum SmtpStage {
    /// Name resolution, connection, greeting and TLS.
    Connect,
    /// Logging in.
    Authenticate,
    /// `MAIL`, which names the sender.
    Sender,
    /// `RCPT`, which names the recipient.
    Recipient,
    /// `DATA` and the message itself.
    Message,
}

/// The limit that withheld an e-mail caused by another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("limit")]
pub enum EmailLimit {
    /// Limit of e-mails to one mailbox.
    Recipient,
    /// Limit of e-mails that one user causes.
    Actor,
    /// Limit of e-mails on behalf of one organization.
    Organization,
}

/// Services that Socialize calls over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("service.peer.name")]
pub enum Peer {
    /// A workspace's publishing endpoint.
    PublishingEndpoint,
}

/// Outcome of an attempt to deliver a content item to its workspace's publishing endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("outcome")]
pub enum PublishingOutcome {
    /// The endpoint accepted it.
    Delivered,
    /// The attempt failed and will be retried.
    Deferred,
    /// The delivery was given up; a manager can retry it.
    Failed,
}

/// Changes that a manager makes to a publishing endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("change")]
pub enum PublishingEndpointChange {
    /// The workspace had no endpoint before.
    Created,
    /// The endpoint got another URL, or was enabled again.
    Replaced,
    /// The endpoint got a new secret.
    SecretRotated,
    /// The endpoint was removed.
    Deleted,
}

/// Reasons why a caller was not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("reason")]
pub enum AuthFailureReason {
    /// The password is wrong, or the address has no confirmed account. These are one reason, as
    /// they are one response.
    InvalidCredentials,
    /// Too many failed attempts for this account or from this address.
    RateLimited,
    /// A protected route was called without an access token.
    MissingToken,
    /// The access token is malformed or was not signed by this server.
    InvalidToken,
    /// The access token has expired.
    ExpiredToken,
    /// The session of the access token has ended, or its user no longer exists.
    EndedSession,
    /// The refresh token is unknown, ended or expired.
    InvalidRefreshToken,
    /// The refresh token had been used before, so its whole family was ended.
    ReusedRefreshToken,
    /// The token of an e-mailed link is unknown, used or expired.
    InvalidEmailToken,
}

/// Services without which Socialize cannot work, or not fully.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("dependency")]
pub enum Dependency {
    /// The Postgres database.
    Postgres,
    /// The mail server, or the directory that replaces it.
    Email,
    /// The store of uploaded files.
    BlobStore,
}

/// Operations on the blob store. A small file is stored at once; a larger one in parts, so that at
/// most one part is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("operation")]
pub enum BlobOperation {
    /// Stores a whole blob.
    Put,
    /// Begins a blob that is stored in parts.
    BeginParts,
    /// Stores one part.
    PutPart,
    /// Assembles the blob from its parts.
    CompleteParts,
    /// Discards the parts.
    AbortParts,
    /// Opens a blob, or a range of it, for reading.
    Get,
    /// Reads an open blob to its end, as fast as the client accepts it.
    Read,
    /// Deletes a blob.
    Delete,
}

/// Outcome of an operation on the blob store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("outcome")]
pub enum BlobOutcome {
    /// The operation succeeded.
    Ok,
    /// The store could not be reached.
    Unavailable,
    /// The operation exceeded its time limit.
    Timeout,
    /// The store rejects the credentials, or forbids the operation.
    Denied,
    /// The blob is missing although a row refers to it.
    NotFound,
    /// The content differs from the stored one.
    Corrupt,
    /// The caller went away.
    Cancelled,
    /// Any other error.
    Other,
}

/// Background loops that run as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("loop")]
pub enum Loop {
    /// Claims and runs jobs.
    Worker,
    /// Enqueues periodic jobs when they are due.
    Scheduler,
    /// Samples depth and age of the queue.
    QueueSampler,
    /// Samples the number of domain objects in each state.
    GaugeSampler,
    /// Compares the incremental counts behind the gauges with the tables.
    GaugeChecker,
    /// Listens for new jobs, so that they need not wait until the worker polls.
    JobListener,
}

/// Tables whose rows are counted by status incrementally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("gauge")]
pub enum StatusGauge {
    /// Content items by [`ContentItemStatus`].
    ContentItems,
    /// Feedback reports by [`FeedbackStatus`].
    FeedbackReports,
}

/// Amounts that one user or organization may not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("quota")]
pub enum Quota {
    /// Organizations that a user has created.
    OrganizationsPerUser,
    /// Workspaces of an organization.
    WorkspacesPerOrganization,
    /// Bytes of the attachments of an organization.
    StoragePerOrganization,
}

/// Time windows in which activity is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("window")]
pub enum ActivityWindow {
    /// The last 24 hours.
    #[spelling("24h")]
    Day,
    /// The last seven days.
    #[spelling("7d")]
    Week,
}

/// Roles of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("role")]
pub enum Role {
    /// Serves requests and works on jobs.
    Serve,
    /// Works on jobs only.
    Work,
}

/// Directories to which a process writes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("disk")]
pub enum Disk {
    /// The directory of the log file.
    Logs,
    /// The directory of uploaded files.
    Blobs,
}

/// The states of a pooled connection, as the semantic conventions name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("db.client.connection.state")]
pub enum ConnectionState {
    /// Idle: available to the next operation.
    Idle,
    /// In use by an operation.
    Used,
}

/// The database system, as the semantic conventions name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("db.system.name")]
pub enum DatabaseSystem {
    /// PostgreSQL.
    Postgresql,
}

/// The pools of connections to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("db.client.connection.pool.name")]
pub enum ConnectionPool {
    /// The only pool of a process.
    Socialize,
}

/// Stable codes of error responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("code")]
pub enum ErrorCode {
    /// 400: the request cannot be read.
    MalformedRequest,
    /// 401: no valid access token.
    Unauthenticated,
    /// 401: wrong e-mail address or password.
    InvalidCredentials,
    /// 403: the caller may not do this.
    Forbidden,
    /// 403: the e-mail address must be confirmed first.
    EmailNotVerified,
    /// 403: a user or an organization has as much as it may have.
    QuotaReached,
    /// 404: it does not exist, or the caller may not know that it does.
    NotFound,
    /// 405: the route does not support the method.
    MethodNotAllowed,
    /// 408: the request took too long to arrive.
    RequestTimeout,
    /// 409: the request conflicts with the current state.
    Conflict,
    /// 409: the resource already exists.
    AlreadyExists,
    /// 409: the current status does not allow it.
    TransitionRefused,
    /// 409: the workspace has no enabled publishing endpoint.
    PublishingEndpointMissing,
    /// 410: the link was used, revoked or has expired.
    LinkExpired,
    /// 412: another request has changed it in the meantime.
    VersionMismatch,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 415: the body is not JSON, or the file has an unsupported type.
    UnsupportedMediaType,
    /// 416: the file does not contain the requested range.
    RangeNotSatisfiable,
    /// 422: a field has a value that is not allowed.
    InvalidField,
    /// 422: the idempotency key was already used for another request.
    IdempotencyKeyReused,
    /// 428: `If-Match` is missing.
    PreconditionRequired,
    /// 429: too many requests.
    RateLimited,
    /// 431: the headers are too large.
    HeadersTooLarge,
    /// 500: a defect of Socialize.
    Internal,
    /// 503: a dependency is down, or the process is draining.
    Unavailable,
    /// 503: the request was not processed in time.
    Timeout,
}

impl JobKind {
    /// Returns the interval at which the scheduler enqueues such jobs; `None` for jobs that are
    /// enqueued on demand.
    pub const fn period(self) -> Option<Duration> {
        match self {
            Self::SendEmail | Self::PublishContentItem => None,
            Self::GiveUpPublishing => Some(Duration::from_mins(1)),
            Self::ExpireInvites => Some(Duration::from_mins(5)),
            // The sum of this and the age of abandoned uploads is well below an hour.
            Self::CleanUpBlobs => Some(Duration::from_mins(10)),
            Self::CleanUpTokens | Self::RemindStaleApprovals => Some(Duration::from_hours(1)),
        }
    }
}

impl Outcome for EmailOutcome {
    const ABANDONED: Self = Self::Deferred;

    fn level(self) -> Level {
        match self {
            // Usually a mistyped address, so no action is needed.
            Self::Delivered | Self::Rejected => Level::Info,
            Self::Deferred => Level::Warn,
            Self::Refused => Level::Error,
        }
    }

    fn is_error(self) -> bool {
        matches!(self, Self::Deferred | Self::Refused)
    }
}

impl Outcome for BlobOutcome {
    const ABANDONED: Self = Self::Cancelled;

    fn level(self) -> Level {
        match self {
            Self::Ok | Self::Cancelled => Level::Debug,
            Self::Unavailable | Self::Timeout => Level::Warn,
            // Needs attention: the settings may be wrong, or a file may be lost.
            Self::Denied | Self::NotFound | Self::Corrupt | Self::Other => Level::Error,
        }
    }

    fn is_error(self) -> bool {
        !matches!(self, Self::Ok | Self::Cancelled)
    }
}

impl From<ErrorType> for BlobOutcome {
    fn from(error_type: ErrorType) -> Self {
        match error_type {
            ErrorType::Timeout => Self::Timeout,
            ErrorType::Cancelled => Self::Cancelled,
            ErrorType::PermissionDenied | ErrorType::AuthenticationFailed => Self::Denied,
            ErrorType::NotFound => Self::NotFound,
            ErrorType::InvalidData => Self::Corrupt,
            ErrorType::ConnectionRefused
            | ErrorType::ConnectionReset
            | ErrorType::DnsFailure
            | ErrorType::TlsFailure
            | ErrorType::Io
            | ErrorType::Unavailable
            | ErrorType::RateLimited
            | ErrorType::ReadOnly
            | ErrorType::StorageFull => Self::Unavailable,
            _ => Self::Other,
        }
    }
}
