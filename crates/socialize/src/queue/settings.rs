//! Settings of a worker, and the jobs that it runs.

use std::sync::Arc;
use std::time::Duration;

use catalogue::labels::JobKind;
use futures_util::future::BoxFuture;

use crate::platform::sampler::Sample;
use crate::queue::entry::EnqueuePeriodic;
use crate::queue::job::{Job, JobError, JobPolicy};

/// Validity of a lease in production.
pub const LEASE: Duration = Duration::from_secs(60);

/// Runs a job of any kind.
pub type Handler<S> = Arc<dyn Fn(S, Job) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// Returns the samplers of a worker besides the queue's.
pub type Samples<S> = fn(&S, &WorkerSettings<S>) -> Vec<Box<dyn Sample>>;

/// Settings of a worker whose jobs take the state `S`.
#[derive(Clone)]
pub struct WorkerSettings<S> {
    /// Maximum number of concurrent jobs of a kind; see [`JobPolicy`].
    pub concurrency: usize,
    /// Validity of a lease without renewal.
    pub lease: Duration,
    /// Interval at which a running job renews its lease.
    pub heartbeat: Duration,
    /// Interval of polling without notifications.
    pub poll_interval: Duration,
    /// Interval of checks for periodic jobs.
    pub schedule_interval: Duration,
    /// Interval of probes of the connection that announces new jobs.
    pub listen_interval: Duration,
    /// Interval of samples of the queue.
    pub sample_interval: Duration,
    /// Interval of samples of the domain's gauges.
    pub gauge_interval: Duration,
    /// Interval of comparisons of their counts with the tables.
    pub gauge_check_interval: Duration,
    /// Rules for each kind of job.
    pub policy: fn(JobKind) -> JobPolicy,
    pub enqueue_periodic: fn(JobKind) -> Option<EnqueuePeriodic>,
    pub handler: Handler<S>,
    pub samples: Samples<S>,
}

impl<S> WorkerSettings<S> {
    /// Returns the settings of production.
    pub fn new(
        policy: fn(JobKind) -> JobPolicy,
        enqueue_periodic: fn(JobKind) -> Option<EnqueuePeriodic>,
        handler: Handler<S>,
        samples: Samples<S>,
    ) -> Self {
        Self {
            concurrency: 8,
            lease: LEASE,
            heartbeat: Duration::from_secs(15),
            poll_interval: Duration::from_secs(2),
            schedule_interval: Duration::from_secs(5),
            listen_interval: Duration::from_secs(10),
            sample_interval: Duration::from_secs(5),
            gauge_interval: Duration::from_secs(30),
            gauge_check_interval: Duration::from_secs(60 * 60),
            policy,
            enqueue_periodic,
            handler,
            samples,
        }
    }
}
