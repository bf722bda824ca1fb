//! A job while it is being worked on.

use std::time::Duration;

use domain::ids::JobId;
use domain::labels::JobKind;
use serde::de::DeserializeOwned;
use telemetry::{ErrorType, SpanContext};
use uuid::Uuid;

use crate::database::DatabaseError;

/// A job that this process has claimed.
#[derive(Clone)]
pub struct Job {
    /// Stays the same over all attempts, so what an attempt does elsewhere can be recognised by it.
    pub id: JobId,
    /// What kind of work it is.
    pub kind: JobKind,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// How many there are.
    pub max_attempts: i32,
    /// Jobs of one lane run one after the other in a process.
    pub lane: Option<Uuid>,
    /// Whom it is for, where it is for one organization.
    pub(super) organization_id: Option<Uuid>,
    /// How the endpoint behind its lane had behaved when it was claimed.
    pub(super) standing: i16,
    /// Nothing where it cannot be read at all.
    pub(super) payload: Option<serde_json::Value>,
    /// Proves that the job is still ours.
    pub(super) lease_token: Uuid,
    /// The span that enqueued it.
    pub(super) cause: Option<SpanContext>,
}

/// How jobs of a kind are run.
#[derive(Clone, Copy, Debug)]
pub struct JobPolicy {
    /// How many of them one process runs at once at most.
    pub concurrency: usize,
    /// Whether organizations share the slots. It is so where their servers decide how long a run takes.
    pub is_shared: bool,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often such a job is enqueued by itself.
    pub every: Option<Duration>,
}

impl JobPolicy {
    /// How many of them run at once in a process that is told to run `concurrency` of a kind. Runs that wait for others hold nothing
    /// meanwhile, so there are more slots for them.
    pub(super) fn slots(&self, concurrency: usize) -> usize {
        let factor = if self.is_shared { 4 } else { 1 };
        self.concurrency.min(concurrency.saturating_mul(factor))
    }
}

/// Why an attempt at a job failed, and whether another one makes sense. The code that notices the failure decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobError {
    /// It may go better later.
    Retry(ErrorType),
    /// It may go better later, and not before so much time has passed.
    RetryAfter(ErrorType, Duration),
    /// It will never go better, and somebody has to look.
    Fail(ErrorType),
    /// Whoever the work was for does not take it. Nobody here can change that, so nobody has to look.
    Reject(ErrorType),
}

impl JobError {
    /// What went wrong.
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
    /// What was enqueued.
    ///
    /// # Errors
    /// If this version does not understand it.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        let payload = self.payload.as_ref().and_then(|payload| T::deserialize(payload).ok());
        payload.ok_or(JobError::Fail(ErrorType::InvalidData))
    }
}
