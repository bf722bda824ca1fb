//! Closed sets that exist for signals: what labels, span names and log fields can say.

use std::time::Duration;

use strum::{IntoStaticStr, VariantArray};
use telemetry::catalogue::Label;
use telemetry::log::Level;
use telemetry::{ClosedSet, ErrorType, Outcome};

use crate::vocabulary::{ContentItemStatus, Decision, FeedbackKind, FeedbackStatus};

/// Background work, one name per kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum JobKind {
    /// Hands one e-mail of the outbox to the mail server.
    SendEmail,
    /// Ends invites whose time is over.
    ExpireInvites,
    /// Deletes tokens, idempotency keys and sessions that can no longer be used.
    CleanUpTokens,
    /// Deletes blobs that no row refers to: of uploads that came to nothing, and of what was deleted.
    CleanUpBlobs,
    /// Reminds reviewers of content items that have been in approval for too long.
    RemindStaleApprovals,
    /// Delivers one content item to the publishing endpoint of its workspace.
    PublishContentItem,
    /// Gives deliveries up that nobody works on any more.
    GiveUpPublishing,
}

/// The e-mails that Socialize sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
    /// Reminds a reviewer of a decision that has been asked for long ago.
    ApprovalReminder,
    /// Tells an author what was decided.
    ApprovalDecided,
    /// Shows an operator that e-mails arrive.
    Test,
}

/// How one attempt to deliver an e-mail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EmailOutcome {
    /// The mail server took it.
    Delivered,
    /// It could not be delivered now and will be tried again.
    Deferred,
    /// The recipient's side refused it for good: there is no such mailbox, or it takes nothing.
    Rejected,
    /// It was refused for good because of what we sent.
    Refused,
}

/// What became of an e-mail, over all attempts to deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EmailResult {
    /// The mail server took it.
    Delivered,
    /// The recipient's side refused it, for good or for as long as it was tried. Nobody here can change that.
    Rejected,
    /// It has been failing for too long, and not because of its recipient. It is still tried, and may be delivered.
    Delayed,
    /// It was given up, and not because of its recipient.
    GivenUp,
}

/// How far a conversation with the mail server had come when it failed. A reply means different things at different stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SmtpStage {
    /// Looking up the name, connecting, greeting and agreeing on encryption.
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

/// Which limit an e-mail was over that others had caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EmailLimit {
    /// Of e-mails to one mailbox.
    Recipient,
    /// Of e-mails that one user causes.
    Actor,
    /// Of e-mails on behalf of one organization.
    Organization,
}

/// Whom Socialize calls over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Peer {
    /// The endpoint that a workspace publishes to.
    PublishingEndpoint,
}

/// What came of an attempt to deliver a content item to its workspace's publishing endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PublishingOutcome {
    /// The endpoint took it.
    Delivered,
    /// It could not be delivered now and will be tried again.
    Deferred,
    /// It was given up; a manager can try again.
    Failed,
}

/// What a manager did to a publishing endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PublishingEndpointChange {
    /// The workspace had none before.
    Created,
    /// It has another URL, or was enabled again.
    Replaced,
    /// It has a new secret.
    SecretRotated,
    /// The workspace has none any more.
    Deleted,
}

/// Why somebody was not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum AuthFailureReason {
    /// The address belongs to no user (or to nobody yet, because it is not confirmed), or the password is not theirs. All are one
    /// reason, as they are one answer.
    InvalidCredentials,
    /// Too many failed attempts for this account or from this address.
    RateLimited,
    /// A request to a protected route without an access token.
    MissingToken,
    /// An access token that is malformed or was not signed by us.
    InvalidToken,
    /// An access token whose time is over.
    ExpiredToken,
    /// An access token whose session has ended, or whose user is gone.
    EndedSession,
    /// A refresh token that is unknown, ended or expired.
    InvalidRefreshToken,
    /// A refresh token that had been used before: its whole family was ended.
    ReusedRefreshToken,
    /// A link from an e-mail that is unknown, used or expired.
    InvalidEmailToken,
}

/// What Socialize cannot work without, or not fully.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Dependency {
    /// The database.
    Postgres,
    /// The mail server, or the directory that stands for it.
    Email,
    /// Where uploaded files are kept.
    BlobStore,
}

/// What is asked of the blob store. A small file is put at once; a larger one in parts, so that no more than one part of it
/// is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BlobOperation {
    /// Stores a blob whole.
    Put,
    /// Begins to store a blob in parts.
    BeginParts,
    /// Stores one part.
    PutPart,
    /// Makes the blob of its parts.
    CompleteParts,
    /// Gives the parts up.
    AbortParts,
    /// Finds a blob, or a range of it, and begins to read it.
    Get,
    /// Reads it to the end, as fast as whoever it is for takes it.
    Read,
    /// Deletes a blob.
    Delete,
}

/// How something that was asked of the blob store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum BlobOutcome {
    /// As it should.
    Ok,
    /// The store or a connection to it could not be had.
    Unavailable,
    /// It took too long.
    Timeout,
    /// The store does not accept our credentials, or forbids us the operation.
    Denied,
    /// There is no such blob, although a row says so.
    NotFound,
    /// What came is not what was stored.
    Corrupt,
    /// Whoever it was for went away.
    Cancelled,
    /// Anything else.
    Other,
}

/// Loops that run for as long as the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Loop {
    /// Claims and runs jobs.
    Worker,
    /// Enqueues periodic jobs when they are due.
    Scheduler,
    /// Reads depth and age of the queue.
    QueueSampler,
    /// Reads how many things of the domain are in which state.
    GaugeSampler,
    /// Compares the counts that samples are read from with the tables.
    GaugeChecker,
    /// Hears of new jobs, so that they need not wait until the worker looks.
    JobListener,
}

/// The tables whose rows are counted by status while they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum StatusGauge {
    /// Content items by [`ContentItemStatus`].
    ContentItems,
    /// Feedback reports by [`FeedbackStatus`].
    FeedbackReports,
}

/// How far back somebody looks for activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
pub enum ActivityWindow {
    /// A day.
    #[strum(serialize = "24h")]
    Day,
    /// A week.
    #[strum(serialize = "7d")]
    Week,
}

/// The roles that a process can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Answers requests and works on jobs.
    Serve,
    /// Works on jobs only.
    Work,
}

/// Where a process writes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Disk {
    /// The directory of the log file.
    Logs,
    /// The directory of uploaded files.
    Blobs,
}

/// The states of a pooled connection, as the semantic conventions name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ConnectionState {
    /// Nobody uses it now.
    Idle,
    /// An operation uses it.
    Used,
}

/// The stable codes of error answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
    /// 404: it does not exist, or the caller may not know that it does.
    NotFound,
    /// 405: the route does not know the method.
    MethodNotAllowed,
    /// 408: the request took too long to arrive.
    RequestTimeout,
    /// 409: it conflicts with the state of things.
    Conflict,
    /// 409: it exists already.
    AlreadyExists,
    /// 409: the status that it has does not allow it.
    TransitionRefused,
    /// 409: the workspace has no publishing endpoint that takes anything.
    PublishingEndpointMissing,
    /// 410: the link was used, revoked or has expired.
    LinkExpired,
    /// 412: somebody else has changed it meanwhile.
    VersionMismatch,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 415: the body is not JSON, or the file of no type that can be uploaded.
    UnsupportedMediaType,
    /// 416: the file does not have the range that is asked for.
    RangeNotSatisfiable,
    /// 422: a field has a value that is not allowed.
    InvalidField,
    /// 422: the idempotency key was used for another request.
    IdempotencyKeyReused,
    /// 428: `If-Match` is missing.
    PreconditionRequired,
    /// 429: too many requests.
    RateLimited,
    /// 431: the headers are too large.
    HeadersTooLarge,
    /// 500: a fault of ours.
    Internal,
    /// 503: a dependency is down, or the process is draining.
    Unavailable,
    /// 503: the request took too long to answer.
    Timeout,
}

impl ClosedSet for JobKind {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl JobKind {
    /// How often such a job is enqueued by itself; nothing for those that are enqueued when there is something to do.
    pub const fn period(self) -> Option<Duration> {
        match self {
            Self::SendEmail | Self::PublishContentItem => None,
            Self::GiveUpPublishing => Some(Duration::from_mins(1)),
            Self::ExpireInvites => Some(Duration::from_mins(5)),
            // Together with the age at which uploads are given up this stays well below an hour.
            Self::CleanUpBlobs => Some(Duration::from_mins(10)),
            Self::CleanUpTokens | Self::RemindStaleApprovals => Some(Duration::from_hours(1)),
        }
    }
}

impl Label for JobKind {
    /// Not `job`, which Prometheus keeps for the service that a series comes from.
    const KEY: &'static str = "job.kind";
}

impl ClosedSet for EmailTemplate {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for EmailTemplate {
    const KEY: &'static str = "template";
}

impl ClosedSet for EmailOutcome {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for EmailOutcome {
    const KEY: &'static str = "outcome";
}

impl Outcome for EmailOutcome {
    const ABANDONED: Self = Self::Deferred;

    fn level(self) -> Level {
        match self {
            // Somebody mistyped an address: nothing is wrong here.
            Self::Delivered | Self::Rejected => Level::Info,
            Self::Deferred => Level::Warn,
            Self::Refused => Level::Error,
        }
    }

    fn is_error(self) -> bool {
        matches!(self, Self::Deferred | Self::Refused)
    }
}

impl ClosedSet for EmailResult {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for EmailResult {
    const KEY: &'static str = "result";
}

impl ClosedSet for SmtpStage {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl ClosedSet for Peer {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Peer {
    const KEY: &'static str = "peer";
}

impl ClosedSet for PublishingOutcome {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for PublishingOutcome {
    const KEY: &'static str = "outcome";
}

impl ClosedSet for PublishingEndpointChange {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for PublishingEndpointChange {
    const KEY: &'static str = "change";
}

impl ClosedSet for EmailLimit {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for EmailLimit {
    const KEY: &'static str = "limit";
}

impl ClosedSet for AuthFailureReason {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for AuthFailureReason {
    const KEY: &'static str = "reason";
}

impl ClosedSet for Dependency {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Dependency {
    const KEY: &'static str = "dependency";
}

impl ClosedSet for BlobOperation {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for BlobOperation {
    const KEY: &'static str = "operation";
}

impl ClosedSet for BlobOutcome {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for BlobOutcome {
    const KEY: &'static str = "outcome";
}

impl Outcome for BlobOutcome {
    const ABANDONED: Self = Self::Cancelled;

    fn level(self) -> Level {
        match self {
            Self::Ok | Self::Cancelled => Level::Debug,
            Self::Unavailable | Self::Timeout => Level::Warn,
            // Somebody has to look: at our settings, or at what became of a file.
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

impl ClosedSet for Loop {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Loop {
    const KEY: &'static str = "loop";
}

impl ClosedSet for StatusGauge {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for StatusGauge {
    const KEY: &'static str = "gauge";
}

impl ClosedSet for ActivityWindow {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for ActivityWindow {
    const KEY: &'static str = "window";
}

impl ClosedSet for Role {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Role {
    const KEY: &'static str = "role";
}

impl ClosedSet for Disk {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Disk {
    const KEY: &'static str = "disk";
}

impl ClosedSet for ErrorCode {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for ErrorCode {
    const KEY: &'static str = "code";
}

impl ClosedSet for ConnectionState {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for ConnectionState {
    const KEY: &'static str = "db.client.connection.state";
}

impl Label for Decision {
    const KEY: &'static str = "decision";
}

impl Label for ContentItemStatus {
    const KEY: &'static str = "status";
}

impl Label for FeedbackStatus {
    const KEY: &'static str = "status";
}

impl Label for FeedbackKind {
    const KEY: &'static str = "kind";
}
