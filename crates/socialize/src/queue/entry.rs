//! Every kind of job in one type, for a worker that knows only the kind.

use catalogue::labels::JobKind;
use futures_util::future::BoxFuture;

use crate::platform::database::{self, Transaction};
use crate::queue::enqueue::enqueue_periodic;
use crate::queue::handle::{Queue, State};
use crate::queue::job::{Job, JobError, JobPolicy, JobType};

/// Enqueues a periodic job unless one is waiting or running.
pub type EnqueuePeriodic = for<'a> fn(&'a Queue, &'a mut Transaction) -> BoxFuture<'a, database::Result<()>>;

/// The rules and the work of a [`JobType`].
pub struct JobEntry<S> {
    pub kind: JobKind,
    pub policy: JobPolicy,
    /// Parses the payload and makes one attempt.
    pub run: fn(S, Job) -> BoxFuture<'static, Result<(), JobError>>,
    /// For jobs that the scheduler enqueues.
    pub enqueue_periodic: Option<EnqueuePeriodic>,
}

impl<S: State> JobEntry<S> {
    /// A job that is enqueued on demand.
    pub const fn of<J: JobType<State = S>>() -> Self {
        Self {
            kind: J::KIND,
            policy: J::POLICY,
            run: |state, job| Box::pin(async move { job.payload::<J>()?.run(&state, &job).await }),
            enqueue_periodic: None,
        }
    }

    /// A job that the scheduler enqueues.
    pub const fn periodic<J: JobType<State = S> + Default + 'static>() -> Self {
        let enqueue: EnqueuePeriodic =
            |queue, transaction| Box::pin(enqueue_periodic::<J>(queue, transaction));
        Self { enqueue_periodic: Some(enqueue), ..Self::of::<J>() }
    }
}
