//! Kinds of jobs, and a claimed job.

use std::time::Duration;

use catalogue::keys;
use catalogue::labels::JobKind;
use domain::ids::JobId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use telemetry::{Attributes, ErrorType, SpanContext};
use uuid::Uuid;

use crate::platform::database::DatabaseError;
use crate::queue::handle::State;

/// A kind of job. The type is the payload, so a job cannot be enqueued with the payload of another kind.
///
/// The payload contains only ids: the run looks up their rows, so the queue contains no customer's text.
pub trait JobType: Serialize + DeserializeOwned + Send + Sync {
    /// State that its runs need.
    type State: State;

    const KIND: JobKind;
    const POLICY: JobPolicy;
    /// Maximum number of attempts. After them, the next run of a periodic job takes over.
    const ATTEMPTS: i32 = 5;

    /// Makes one attempt.
    ///
    /// # Errors
    /// States whether a retry makes sense.
    fn run(self, state: &Self::State, job: &Job) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// A job claimed by this process.
#[derive(Clone)]
pub struct Job {
    /// The same for all attempts, so that external systems can recognise repetitions.
    pub id: JobId,
    pub kind: JobKind,
    /// Number of this attempt, from 1.
    pub attempt: i32,
    /// Maximum number of attempts.
    pub max_attempts: i32,
    /// Jobs of one lane run one after the other in a process.
    pub lane: Option<Uuid>,
    /// The organization, if the job is for one.
    pub(super) organization_id: Option<Uuid>,
    /// Standing of its lane's endpoint when it was claimed.
    pub(super) standing: i16,
    /// `None` if it cannot be read at all.
    pub(super) payload: Option<serde_json::Value>,
    /// Proves that this worker still holds the job.
    pub(super) lease_token: Uuid,
    /// The span that enqueued it.
    pub(super) cause: Option<SpanContext>,
}

/// Attributes of every record of a run.
pub(super) fn describe(attributes: &mut Attributes, id: JobId, attempt: i32) {
    attributes.id(&keys::JOB_ID, id);
    attributes.number(&keys::JOB_ATTEMPT, attempt.unsigned_abs().into());
}

/// Rules for running jobs of a kind.
#[derive(Clone, Copy, Debug)]
pub struct JobPolicy {
    /// Maximum number of concurrent runs in a process.
    pub concurrency: usize,
    /// True if organizations share the slots, because their servers determine the duration of a run.
    pub is_shared: bool,
    /// Maximum duration of an attempt.
    pub timeout: Duration,
    /// Period of a periodic job.
    pub every: Option<Duration>,
}

impl JobPolicy {
    /// Rules of a kind that never runs twice at the same time in a process.
    pub const fn alone(kind: JobKind, timeout: Duration) -> Self {
        Self { concurrency: 1, is_shared: false, timeout, every: kind.period() }
    }

    /// Returns the number of concurrent runs in a process with the setting `concurrency`. Runs that wait for
    /// remote servers hold no other resources, so they get more slots.
    pub(super) fn slots(&self, concurrency: usize) -> usize {
        let factor = if self.is_shared { 4 } else { 1 };
        self.concurrency.min(concurrency.saturating_mul(factor))
    }
}

/// Reason for a failed attempt, and whether a retry makes sense. The code that detects the failure decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobError {
    /// A retry may succeed.
    Retry(ErrorType),
    /// A retry may succeed, but not before this delay.
    RetryAfter(ErrorType, Duration),
    /// No retry can succeed, and an operator has to act.
    Fail(ErrorType),
    /// The recipient does not accept it. Nobody here can change that, so no operator has to act.
    Reject(ErrorType),
}

impl JobError {
    pub fn error_type(self) -> ErrorType {
        match self {
            Self::Retry(error_type)
            | Self::RetryAfter(error_type, _)
            | Self::Fail(error_type)
            | Self::Reject(error_type) => error_type,
        }
    }
}

impl From<DatabaseError> for JobError {
    fn from(error: DatabaseError) -> Self {
        Self::Retry(error.error_type)
    }
}

impl Job {
    /// Parses the payload.
    ///
    /// # Errors
    /// Returns an error if this version does not understand it.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        let payload = self.payload.as_ref().and_then(|payload| T::deserialize(payload).ok());
        payload.ok_or(JobError::Fail(ErrorType::InvalidData))
    }
}
