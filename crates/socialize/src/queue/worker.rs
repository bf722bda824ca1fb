//! The worker of a process: its loops, its running jobs, and its shutdown.

use std::sync::Arc;
use std::time::Duration;

use catalogue::labels::{JobKind, Loop};
use domain::ids::JobId;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::claim::{claim, recover_expired};
use super::job::{Job, JobError, JobPolicy};
use super::listen::JobListener;
use super::room::Room;
use super::run::run_job;
use super::sample::{Sampler, Subject};
use super::schedule::schedule_periodic_jobs;
use super::supervise::{LONGEST_PAUSE, Supervisor};
use crate::app::App;
use crate::database;
use crate::workers;

/// Minimum time that a claim under way has to end at shutdown.
const LAST_CLAIM_LIMIT: Duration = Duration::from_secs(1);
/// Maximum time for returning the remaining jobs at shutdown.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(2);
/// Maximum delay after a failed comparison of gauges. It reads every row, so it must not be retried often.
const LONGEST_PAUSE_OF_COMPARISONS: Duration = Duration::from_secs(300);

pub type Handler = Arc<dyn Fn(App, Job) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// Settings of a worker. The defaults suit production.
#[derive(Clone)]
pub struct WorkerSettings {
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
    pub handler: Handler,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            poll_interval: Duration::from_secs(2),
            schedule_interval: Duration::from_secs(5),
            listen_interval: Duration::from_secs(10),
            sample_interval: Duration::from_secs(5),
            gauge_interval: Duration::from_secs(30),
            gauge_check_interval: Duration::from_secs(60 * 60),
            policy: workers::policy,
            handler: Arc::new(workers::run),
        }
    }
}

pub struct Worker {
    app: App,
    settings: WorkerSettings,
    room: Room,
    wake: Arc<Notify>,
    runs: TaskTracker,
    /// Cancels running jobs, which return to the queue.
    hand_back: CancellationToken,
    /// Ends running jobs like the death of the process.
    crash: CancellationToken,
}

/// A running worker. Dropping it ends everything at once, like a crash: jobs return when their leases expire.
#[must_use = "the worker ends when its handle is dropped"]
pub struct WorkerHandle {
    worker: Arc<Worker>,
    loops: JoinSet<()>,
    stopping: CancellationToken,
    _crash_on_drop: DropGuard,
}

impl Worker {
    /// Starts the loops on the current runtime.
    pub fn start(app: App, settings: WorkerSettings) -> WorkerHandle {
        let worker = Arc::new(Self {
            room: Room::new(settings.policy, settings.concurrency),
            wake: Arc::default(),
            runs: TaskTracker::new(),
            hand_back: CancellationToken::new(),
            crash: CancellationToken::new(),
            app,
            settings,
        });
        let stopping = CancellationToken::new();
        let mut loops = JoinSet::new();
        loops.spawn(worker.clone().claim_loop(stopping.clone()));
        loops.spawn(worker.clone().schedule_loop(stopping.clone()));
        loops.spawn(worker.clone().listen_loop(stopping.clone()));
        for subject in [Subject::Queue, Subject::Gauges, Subject::GaugeDrift] {
            loops.spawn(worker.clone().sample_loop(subject, stopping.clone()));
        }
        let crash_on_drop = worker.crash.clone().drop_guard();
        WorkerHandle { worker, loops, stopping, _crash_on_drop: crash_on_drop }
    }

    async fn claim_loop(self: Arc<Self>, stopping: CancellationToken) {
        let interval = self.settings.poll_interval;
        let mut supervisor = self.supervisor(Loop::Worker, interval, self.wake.clone(), stopping);
        let mut recover_at = Instant::now();
        while supervisor.turn(self.clone().claim_turn(&mut recover_at)).await {}
    }

    async fn schedule_loop(self: Arc<Self>, stopping: CancellationToken) {
        let interval = self.settings.schedule_interval;
        let mut supervisor = self.supervisor(Loop::Scheduler, interval, Arc::default(), stopping);
        while supervisor.turn(schedule_periodic_jobs(&self.app, &self.settings)).await {}
    }

    async fn listen_loop(self: Arc<Self>, stopping: CancellationToken) {
        let until = stopping.clone();
        let mut supervisor = self.supervisor(Loop::JobListener, Duration::ZERO, Arc::default(), stopping);
        let mut listener = JobListener::new(self.app.clone(), self.settings.listen_interval);
        // Cancelled at once instead of after the iteration, which only waits.
        let listening = async { while supervisor.turn(listener.turn(&self.wake)).await {} };
        until.run_until_cancelled(listening).await;
    }

    async fn sample_loop(self: Arc<Self>, subject: Subject, stopping: CancellationToken) {
        let every = match subject {
            Subject::Queue => self.settings.sample_interval,
            Subject::Gauges => self.settings.gauge_interval,
            Subject::GaugeDrift => self.settings.gauge_check_interval,
        };
        let mut sampler = Sampler::new(self.app.clone(), subject, every);
        let mut supervisor =
            self.supervisor(subject.its_loop(), sampler.look_every(), Arc::default(), stopping);
        if subject == Subject::GaugeDrift {
            supervisor.longest_pause = LONGEST_PAUSE_OF_COMPARISONS;
        }
        while supervisor.turn(sampler.turn()).await {}
    }

    fn supervisor(
        &self,
        which: Loop,
        interval: Duration,
        wake: Arc<Notify>,
        stopping: CancellationToken,
    ) -> Supervisor {
        let (app, longest_pause) = (self.app.clone(), LONGEST_PAUSE);
        Supervisor { app, which, interval, longest_pause, wake, stopping, failures: 0 }
    }

    /// Claims as many jobs as there are free slots, and starts them. Expired leases are recovered at each
    /// poll, but not each time that a slot is freed.
    async fn claim_turn(self: Arc<Self>, recover_at: &mut Instant) -> database::Result<()> {
        if Instant::now() >= *recover_at {
            recover_expired(&self.app).await?;
            *recover_at = Instant::now() + self.settings.poll_interval;
        }
        let vacancies = self.room.vacancies();
        if vacancies.free.is_empty() {
            return Ok(());
        }
        let claimed = Instant::now();
        let got = claim(&self.app, &vacancies, self.settings.lease).await?;
        let is_again = self.room.occupy(&vacancies, &got);
        for job in got.jobs {
            let slot = Slot { worker: self.clone(), job: job.id };
            self.runs.spawn(async move {
                let worker = slot.worker.clone();
                let run = run_job(&worker.app, &job, &worker.settings, claimed, &worker.hand_back);
                worker.crash.run_until_cancelled(run).await;
            });
        }
        if is_again {
            self.wake.notify_one();
        }
        Ok(())
    }
}

/// Slot of a running job. Dropping it frees the slot, however the job ended.
struct Slot {
    worker: Arc<Worker>,
    job: JobId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.worker.room.vacate(self.job) {
            self.worker.wake.notify_one();
        }
    }
}

impl WorkerHandle {
    /// Stops the worker: claims nothing more, lets running jobs finish until the deadline, and returns the
    /// others to the queue. It does so only when no claim is under way, which could take them again.
    pub async fn stop(mut self, deadline: Instant) {
        self.stopping.cancel();
        let loops_end = async { while self.loops.join_next().await.is_some() {} };
        let _ = timeout_at(deadline.max(Instant::now() + LAST_CLAIM_LIMIT), loops_end).await;
        self.loops.shutdown().await;
        self.worker.runs.close();
        if timeout_at(deadline, self.worker.runs.wait()).await.is_err() {
            self.worker.hand_back.cancel();
            let _ = timeout(HAND_BACK_LIMIT, self.worker.runs.wait()).await;
        }
    }
}
