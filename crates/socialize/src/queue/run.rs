//! Runs one job: with its record, its timeout and its lease, and writes its end.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use telemetry::{Attributes, ClosedSet, ErrorType, JobOutcome};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::platform::database;
use crate::queue::backoff::backoff;
use crate::queue::claim::{claim, recover_expired};
use crate::queue::end::{End, extend_lease};
use crate::queue::handle::{Queue, State};
use crate::queue::job::{Job, JobError, describe};
use crate::queue::room::Room;
use crate::queue::settings::WorkerSettings;

/// Delay before writing the end of a run again after the database failed.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// End of an attempt.
enum Ending {
    Done,
    Failed(JobError),
    /// The process stops and cannot wait any longer.
    Interrupted,
    /// Another worker has the job, or may have it.
    LeaseLost,
}

/// Time until which this worker certainly holds the job, by the monotonic clock.
struct Lease(Mutex<Instant>);

impl Lease {
    fn until(instant: Instant) -> Self {
        Self(Mutex::new(instant))
    }

    fn end(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend_to(&self, instant: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = instant;
    }
}

/// Runs a claimed job and returns its outcome. `claimed` is a time before the claim. When `hand_back` is
/// cancelled, the work is abandoned and the job returns to the queue.
pub(super) async fn run_job<S: State>(
    state: &S,
    job: &Job,
    settings: &WorkerSettings<S>,
    claimed: Instant,
    hand_back: &CancellationToken,
) -> JobOutcome {
    let queue = state.as_ref();
    let work = async {
        let lease = Lease::until(claimed + settings.lease);
        let ending = attempt(state, job, settings, &lease, hand_back).await;
        let (outcome, error_type) = conclude(queue, job, ending, &lease).await;
        (outcome, outcome, error_type)
    };
    let describe = |attributes: &mut Attributes| describe(attributes, job.id, job.attempt);
    queue.signals.runs.run(job.kind, job.cause, describe, work).await
}

async fn attempt<S: State>(
    state: &S,
    job: &Job,
    settings: &WorkerSettings<S>,
    lease: &Lease,
    hand_back: &CancellationToken,
) -> Ending {
    let handler = async { (settings.handler)(state.clone(), job.clone()).await };
    // A panicking handler drops its connections and its transaction.
    let handler = AssertUnwindSafe(handler).catch_unwind();
    tokio::select! {
        biased;
        result = timeout((settings.policy)(job.kind).timeout, handler) => match result {
            Ok(Ok(Ok(()))) => Ending::Done,
            Ok(Ok(Err(error))) => Ending::Failed(error),
            Ok(Err(_panic)) => Ending::Failed(JobError::Retry(ErrorType::Panic)),
            Err(_elapsed) => Ending::Failed(JobError::Retry(ErrorType::Timeout)),
        },
        () = keep_lease(state.as_ref(), job, settings, lease) => Ending::LeaseLost,
        () = hand_back.cancelled() => Ending::Interrupted,
    }
}

/// Extends the lease repeatedly; ends when the job belongs, or may belong, to another worker.
async fn keep_lease<S>(queue: &Queue, job: &Job, settings: &WorkerSettings<S>, lease: &Lease) {
    loop {
        let now = Instant::now();
        if now >= lease.end() {
            return;
        }
        sleep(settings.heartbeat.min(lease.end() - now)).await;
        let asked = Instant::now();
        let remaining = lease.end().saturating_duration_since(asked);
        match timeout(remaining, extend_lease(queue, job, settings.lease)).await {
            Ok(Ok(true)) => lease.extend_to(asked + settings.lease),
            Ok(Ok(false)) | Err(_) => return,
            // The database is unreachable; the operation has its own log line. There may be time for another
            // attempt.
            Ok(Err(_)) => {}
        }
    }
}

async fn conclude(
    queue: &Queue,
    job: &Job,
    ending: Ending,
    lease: &Lease,
) -> (JobOutcome, Option<ErrorType>) {
    let (outcome, error_type, end) = match ending {
        Ending::Done => (JobOutcome::Ok, None, End::Finished),
        Ending::Failed(JobError::Reject(error_type)) => {
            (JobOutcome::Rejected, Some(error_type), End::Finished)
        }
        Ending::Failed(JobError::Retry(error_type)) if job.attempt < job.max_attempts => {
            let wait = backoff(job.attempt, rand::random());
            (JobOutcome::Retry, Some(error_type), End::Retried(wait, error_type))
        }
        Ending::Failed(JobError::RetryAfter(error_type, wait)) if job.attempt < job.max_attempts => {
            let wait = wait.max(backoff(job.attempt, rand::random()));
            (JobOutcome::Retry, Some(error_type), End::Retried(wait, error_type))
        }
        Ending::Failed(
            JobError::Retry(error_type) | JobError::RetryAfter(error_type, _) | JobError::Fail(error_type),
        ) => (JobOutcome::Dead, Some(error_type), End::Buried(error_type)),
        Ending::Interrupted => (JobOutcome::HandedBack, None, End::HandedBack),
        Ending::LeaseLost => return (JobOutcome::LostLease, Some(ErrorType::LostLease)),
    };
    let mut pause = WRITE_AGAIN_AFTER;
    loop {
        match end.write(queue, job).await {
            Ok(true) => {
                if outcome == JobOutcome::Ok {
                    queue.signals.job_succeeded(job.kind, queue.clock.now());
                }
                return (outcome, error_type);
            }
            Ok(false) => return (JobOutcome::LostLease, Some(ErrorType::LostLease)),
            // Completed work should not be repeated because of a short outage of the database.
            Err(_) if Instant::now() + pause < lease.end() => {
                sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return (JobOutcome::LostLease, Some(error.error_type)),
        }
    }
}

/// Number of runs by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    counts: [usize; JobOutcome::ALL.len()],
}

impl RunCounts {
    /// Number of runs with this outcome.
    pub fn of(&self, outcome: JobOutcome) -> usize {
        self.counts[outcome.index()]
    }

    /// Total number of runs.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    fn add(&mut self, outcome: JobOutcome) {
        self.counts[outcome.index()] += 1;
    }
}

/// Runs all due jobs, and those that become due by running them, without waiting. Failed jobs wait for their
/// delay, so a test advances the clock and calls this again.
///
/// # Errors
/// Returns an error if the database fails to hand out jobs.
pub async fn run_due_jobs_with<S: State>(
    state: &S,
    settings: &WorkerSettings<S>,
) -> database::Result<RunCounts> {
    let queue = state.as_ref();
    let vacancies = Room::new(settings.policy, usize::MAX).vacancies();
    let never = CancellationToken::new();
    let mut counts = RunCounts::default();
    loop {
        for outcome in recover_expired(queue).await? {
            counts.add(outcome);
        }
        let claimed = Instant::now();
        let jobs = claim(queue, &vacancies, settings.lease).await?.jobs;
        if jobs.is_empty() {
            return Ok(counts);
        }
        let runs = jobs.iter().map(|job| run_job(state, job, settings, claimed, &never));
        for outcome in join_all(runs).await {
            counts.add(outcome);
        }
    }
}
