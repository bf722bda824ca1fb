//! The worker of a process: its loops, its running jobs, and its shutdown.

use std::sync::Arc;
use std::time::Duration;

use catalogue::labels::Loop;
use domain::ids::JobId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::platform::database;
use crate::platform::sampler::{Sample, Sampler};
use crate::queue::claim::{claim, recover_expired};
use crate::queue::depth::QueueDepth;
use crate::queue::handle::{Queue, State};
use crate::queue::listen::JobListener;
use crate::queue::room::Room;
use crate::queue::run::run_job;
use crate::queue::schedule::schedule_periodic_jobs;
use crate::queue::settings::WorkerSettings;
use crate::queue::supervise::{LONGEST_PAUSE, Supervisor};

/// Minimum time that a claim under way has to end at shutdown.
const LAST_CLAIM_LIMIT: Duration = Duration::from_secs(1);
/// Maximum time for returning the remaining jobs at shutdown.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(2);

pub struct Worker<S: State> {
    state: S,
    queue: Queue,
    settings: WorkerSettings<S>,
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
pub struct WorkerHandle<S: State> {
    worker: Arc<Worker<S>>,
    loops: JoinSet<()>,
    stopping: CancellationToken,
    _crash_on_drop: DropGuard,
}

impl<S: State> Worker<S> {
    /// Starts the loops on the current runtime.
    pub fn start(state: S, settings: WorkerSettings<S>) -> WorkerHandle<S> {
        let worker = Arc::new(Self {
            room: Room::new(settings.policy, settings.concurrency),
            wake: Arc::default(),
            runs: TaskTracker::new(),
            hand_back: CancellationToken::new(),
            crash: CancellationToken::new(),
            queue: state.as_ref().clone(),
            state,
            settings,
        });
        let stopping = CancellationToken::new();
        let mut loops = JoinSet::new();
        loops.spawn(worker.clone().claim_loop(stopping.clone()));
        loops.spawn(worker.clone().schedule_loop(stopping.clone()));
        loops.spawn(worker.clone().listen_loop(stopping.clone()));
        let depth = QueueDepth { queue: worker.queue.clone(), every: worker.settings.sample_interval };
        loops.spawn(worker.clone().sample_loop(Box::new(depth), stopping.clone()));
        for sample in (worker.settings.samples)(&worker.state, &worker.settings) {
            loops.spawn(worker.clone().sample_loop(sample, stopping.clone()));
        }
        let crash_on_drop = worker.crash.clone().drop_guard();
        WorkerHandle { worker, loops, stopping, _crash_on_drop: crash_on_drop }
    }

    async fn claim_loop(self: Arc<Self>, stopping: CancellationToken) {
        let interval = self.settings.poll_interval;
        let mut supervisor = self.supervisor(Loop::Worker, interval, self.wake.clone(), stopping);
        let mut recover_at = Instant::now();
        while supervisor.run(self.clone().claim_jobs(&mut recover_at)).await {}
    }

    async fn schedule_loop(self: Arc<Self>, stopping: CancellationToken) {
        let interval = self.settings.schedule_interval;
        let mut supervisor = self.supervisor(Loop::Scheduler, interval, Arc::default(), stopping);
        let (policy, enqueue) = (self.settings.policy, self.settings.enqueue_periodic);
        while supervisor.run(schedule_periodic_jobs(&self.queue, policy, enqueue)).await {}
    }

    async fn listen_loop(self: Arc<Self>, stopping: CancellationToken) {
        let until = stopping.clone();
        let mut supervisor = self.supervisor(Loop::JobListener, Duration::ZERO, Arc::default(), stopping);
        let mut listener = JobListener::new(self.queue.clone(), self.settings.listen_interval);
        // Cancelled at once instead of after the iteration, which only waits.
        let listening = async { while supervisor.run(listener.keep_listening(&self.wake)).await {} };
        until.run_until_cancelled(listening).await;
    }

    async fn sample_loop(self: Arc<Self>, sample: Box<dyn Sample>, stopping: CancellationToken) {
        let (which, longest_pause) = (sample.its_loop(), sample.longest_pause());
        let mut sampler = Sampler::new(self.queue.database.clone(), sample);
        let mut supervisor = self.supervisor(which, sampler.look_every(), Arc::default(), stopping);
        if let Some(longest_pause) = longest_pause {
            supervisor.longest_pause = longest_pause;
        }
        while supervisor.run(sampler.sample_if_due()).await {}
    }

    fn supervisor(
        &self,
        which: Loop,
        interval: Duration,
        wake: Arc<Notify>,
        stopping: CancellationToken,
    ) -> Supervisor {
        let (queue, longest_pause) = (self.queue.clone(), LONGEST_PAUSE);
        Supervisor { queue, which, interval, longest_pause, wake, stopping, failures: 0 }
    }

    /// Claims as many jobs as there are free slots, and starts them. Expired leases are recovered at each
    /// poll, but not each time that a slot is freed.
    async fn claim_jobs(self: Arc<Self>, recover_at: &mut Instant) -> database::Result<()> {
        if Instant::now() >= *recover_at {
            recover_expired(&self.queue).await?;
            *recover_at = Instant::now() + self.settings.poll_interval;
        }
        let vacancies = self.room.vacancies();
        if vacancies.free.is_empty() {
            return Ok(());
        }
        let claimed = Instant::now();
        let got = claim(&self.queue, &vacancies, self.settings.lease).await?;
        let is_again = self.room.occupy(&vacancies, &got);
        for job in got.jobs {
            let slot = Slot { worker: self.clone(), job: job.id };
            self.runs.spawn(async move {
                let worker = slot.worker.clone();
                let run = run_job(&worker.state, &job, &worker.settings, claimed, &worker.hand_back);
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
struct Slot<S: State> {
    worker: Arc<Worker<S>>,
    job: JobId,
}

impl<S: State> Drop for Slot<S> {
    fn drop(&mut self) {
        if self.worker.room.vacate(self.job) {
            self.worker.wake.notify_one();
        }
    }
}

impl<S: State> WorkerHandle<S> {
    /// Stops the worker: claims nothing more, lets running jobs finish until the deadline, and returns the
    /// others to the queue. A claim under way could take those again, so it gets a second to end.
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
