//! Whether the process is alive, can serve now, and which of its dependencies answer.
//!
//! Checks run in the background, each with a time limit; a probe only reads what the last run found. So a hung dependency never
//! hangs a probe, and probing never becomes load. Whether the process is alive depends on no dependency: restarting it would
//! not bring a database back.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

mod report;

pub use report::{DependencyDetail, DependencyState, HealthDetail, Readiness};

use crate::{ClosedSet, ErrorType, events};

/// How often and how patiently dependencies are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// The time from the start of one check to the start of the next.
    pub interval: Duration,
    /// How long one check may take.
    pub time_limit: Duration,
    /// After how many intervals without a result the last one is not believed any more.
    pub stale_after_intervals: u32,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            time_limit: Duration::from_secs(1),
            stale_after_intervals: 3,
        }
    }
}

impl HealthSettings {
    /// The age from which a result says nothing about the present.
    fn longest_believable_age(&self) -> Duration {
        (self.interval * self.stale_after_intervals).max(self.interval + self.time_limit)
    }
}

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), ErrorType>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// Collects the checks of a process before they start.
pub struct HealthBuilder<D> {
    settings: HealthSettings,
    checks: Vec<(D, bool, Check)>,
}

/// The health of the process. Clones share it; the checks end with the last one.
#[derive(Clone)]
pub struct Health<D> {
    shared: Arc<Shared<D>>,
    _tasks: Arc<Tasks>,
}

struct Shared<D> {
    settings: HealthSettings,
    is_started: AtomicBool,
    is_draining: AtomicBool,
    heartbeat: Mutex<Instant>,
    /// In the order of the dependency's closed set; `None` for those that this process does not have.
    dependencies: Vec<Option<Dependency<D>>>,
    first_results_missing: watch::Sender<usize>,
}

struct Dependency<D> {
    dependency: D,
    is_required: bool,
    is_down: AtomicBool,
    results: Mutex<Results>,
}

#[derive(Clone, Copy)]
struct Results {
    state: DependencyState,
    since: Instant,
    newest: Option<NewestResult>,
    last_success: Option<Instant>,
}

#[derive(Clone, Copy)]
struct NewestResult {
    at: Instant,
    took: Duration,
    outcome: Result<(), ErrorType>,
}

struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl<D: ClosedSet + Send + Sync> HealthBuilder<D> {
    /// Adds a check of a dependency that no request can be served without.
    #[must_use]
    pub fn required<F>(self, dependency: D, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), ErrorType>> + Send + 'static,
    {
        self.check(dependency, true, check)
    }

    /// Adds a check of a dependency whose failure is shown but does not stop requests.
    #[must_use]
    pub fn optional<F>(self, dependency: D, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), ErrorType>> + Send + 'static,
    {
        self.check(dependency, false, check)
    }

    fn check<F>(
        mut self,
        dependency: D,
        is_required: bool,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), ErrorType>> + Send + 'static,
    {
        self.checks.retain(|(known, _, _)| *known != dependency);
        self.checks.push((dependency, is_required, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Starts checking on the current runtime, at once and then in every interval.
    pub fn start(self) -> Health<D> {
        let now = Instant::now();
        let mut dependencies: Vec<Option<Dependency<D>>> = D::ALL.iter().map(|_| None).collect();
        for (dependency, is_required, _) in &self.checks {
            dependencies[dependency.index()] = Some(Dependency {
                dependency: *dependency,
                is_required: *is_required,
                is_down: AtomicBool::new(false),
                results: Mutex::new(Results {
                    state: DependencyState::Unknown,
                    since: now,
                    newest: None,
                    last_success: None,
                }),
            });
        }
        let shared = Arc::new(Shared {
            settings: self.settings,
            is_started: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            heartbeat: Mutex::new(now),
            dependencies,
            first_results_missing: watch::Sender::new(self.checks.len()),
        });
        let mut tasks = vec![tokio::spawn(beat(Arc::clone(&shared))).abort_handle()];
        for (dependency, _, check) in self.checks {
            let checking = check_forever(Arc::clone(&shared), dependency, check);
            tasks.push(tokio::spawn(checking).abort_handle());
        }
        Health { shared, _tasks: Arc::new(Tasks(tasks)) }
    }
}

impl<D: ClosedSet + Send + Sync> Health<D> {
    /// Begins a collection of checks.
    pub fn builder(settings: HealthSettings) -> HealthBuilder<D> {
        HealthBuilder { settings, checks: Vec::new() }
    }

    /// Says that start-up is finished: migrations are done and listeners are bound.
    pub fn mark_started(&self) {
        self.shared.is_started.store(true, Ordering::Release);
    }

    /// Says that the process takes nothing new from now on. There is no way back.
    pub fn begin_drain(&self) {
        self.shared.is_draining.store(true, Ordering::Release);
    }

    /// Whether the event loop turns. Ask from another thread: a stuck loop cannot answer.
    pub fn live(&self) -> bool {
        lock(&self.shared.heartbeat).elapsed() <= self.shared.settings.longest_believable_age()
    }

    /// Whether the process can serve requests now.
    pub fn ready(&self) -> Readiness {
        if self.shared.is_draining.load(Ordering::Acquire) {
            return Readiness::Draining;
        }
        if !self.shared.is_started.load(Ordering::Acquire) {
            return Readiness::Starting;
        }
        let mut required = self.dependencies().filter(|dependency| dependency.is_required);
        if required.any(|dependency| self.shared.error_of(dependency).is_some()) {
            return Readiness::Unavailable;
        }
        Readiness::Ready
    }

    /// The present state of the dependency, or `None` for one that this process does not check.
    pub fn state(&self, dependency: D) -> Option<DependencyState> {
        let dependency = self.shared.dependencies[dependency.index()].as_ref()?;
        Some(self.shared.state_of(&lock(&dependency.results)))
    }

    /// Whether the last check of the dependency failed: one atomic load, so that requests that need it can fail at once.
    ///
    /// False as long as nothing is known: whoever starts must not fail before anybody has looked.
    #[inline]
    pub fn is_down(&self, dependency: D) -> bool {
        match &self.shared.dependencies[dependency.index()] {
            Some(dependency) => dependency.is_down.load(Ordering::Relaxed),
            None => false,
        }
    }

    /// Everything, for the private listener.
    pub fn detail(&self) -> HealthDetail {
        HealthDetail {
            live: self.live(),
            readiness: self.ready().as_str(),
            dependencies: self.dependencies().map(|dependency| self.shared.detail_of(dependency)).collect(),
        }
    }

    /// Waits until every check ran once.
    pub async fn wait_for_first_results(&self) {
        let mut missing = self.shared.first_results_missing.subscribe();
        // The sender lives as long as `self`, so this can only end by the condition.
        let _ = missing.wait_for(|missing| *missing == 0).await;
    }

    fn dependencies(&self) -> impl Iterator<Item = &Dependency<D>> {
        self.shared.dependencies.iter().flatten()
    }
}

impl<D: ClosedSet> Shared<D> {
    /// Why the dependency cannot be relied on now.
    fn error_of(&self, dependency: &Dependency<D>) -> Option<ErrorType> {
        match lock(&dependency.results).newest {
            None => Some(ErrorType::Unavailable),
            Some(newest) if self.is_stale(newest) => Some(ErrorType::Stale),
            Some(newest) => newest.outcome.err(),
        }
    }

    fn is_stale(&self, newest: NewestResult) -> bool {
        newest.at.elapsed() > self.settings.longest_believable_age()
    }

    /// A result that is too old says nothing, neither good nor bad.
    fn state_of(&self, results: &Results) -> DependencyState {
        match results.newest {
            Some(newest) if !self.is_stale(newest) => results.state,
            _ => DependencyState::Unknown,
        }
    }

    fn state_age(&self, results: &Results) -> Duration {
        match results.newest {
            Some(newest) if self.is_stale(newest) => {
                newest.at.elapsed() - self.settings.longest_believable_age()
            }
            _ => results.since.elapsed(),
        }
    }

    fn detail_of(&self, dependency: &Dependency<D>) -> DependencyDetail {
        let results = *lock(&dependency.results);
        let error_type = results.newest.and_then(|_| self.error_of(dependency));
        DependencyDetail {
            name: dependency.dependency.as_str(),
            required_for_readiness: dependency.is_required,
            state: self.state_of(&results).as_str(),
            state_age_seconds: self.state_age(&results).as_secs_f64(),
            result_age_seconds: results.newest.map(|newest| newest.at.elapsed().as_secs_f64()),
            last_success_age_seconds: results.last_success.map(|at| at.elapsed().as_secs_f64()),
            check_duration_ms: results.newest.map(|newest| newest.took.as_secs_f64() * 1000.0),
            error_type: error_type.map(ClosedSet::as_str),
        }
    }

    /// Stores the result of a check, and logs it when it is news.
    fn store(&self, dependency: D, started: Instant, outcome: Result<(), ErrorType>) {
        let Some(dependency) = &self.dependencies[dependency.index()] else { return };
        let now = Instant::now();
        let state = if outcome.is_ok() { DependencyState::Up } else { DependencyState::Down };
        let before = {
            let mut results = lock(&dependency.results);
            let before = *results;
            if state != before.state {
                results.state = state;
                results.since = now;
            }
            if outcome.is_ok() {
                results.last_success = Some(now);
            }
            results.newest = Some(NewestResult { at: now, took: now - started, outcome });
            before
        };
        dependency.is_down.store(outcome.is_err(), Ordering::Relaxed);
        if before.newest.is_none() {
            self.first_results_missing.send_modify(|missing| *missing -= 1);
        }
        let name = dependency.dependency.as_str();
        match outcome {
            Err(error) if before.state != DependencyState::Down => {
                tracing::warn!(
                    name: events::DEPENDENCY_DOWN,
                    dependency = name,
                    error.r#type = error.as_str(),
                    "a dependency does not answer"
                );
            }
            Ok(()) if before.state == DependencyState::Down => {
                tracing::info!(name: events::DEPENDENCY_UP, dependency = name, "a dependency answers again");
            }
            _ => {}
        }
    }
}

/// Shows that the event loop turns.
async fn beat<D>(shared: Arc<Shared<D>>) {
    let mut ticks = interval(shared.settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        *lock(&shared.heartbeat) = Instant::now();
    }
}

async fn check_forever<D: ClosedSet + Send + Sync>(shared: Arc<Shared<D>>, dependency: D, check: Check) {
    let mut ticks = interval(shared.settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let started = Instant::now();
        // In a task of its own, so that a check that panics or never yields takes nothing else with it.
        let mut running = JoinSet::new();
        let check = Arc::clone(&check);
        running.spawn(async move { check().await });
        let outcome = match timeout(shared.settings.time_limit, running.join_next()).await {
            Ok(Some(Ok(outcome))) => outcome,
            Ok(Some(Err(error))) if error.is_panic() => Err(ErrorType::Panic),
            Ok(_) => Err(ErrorType::Cancelled),
            Err(_) => Err(ErrorType::Timeout),
        };
        shared.store(dependency, started, outcome);
        // No second check beside one that cannot be ended; until it ends, the result above grows stale.
        running.shutdown().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
