//! Liveness and readiness of the process, and the state of its dependencies.
//!
//! Checks run in the background, each with a time limit; a probe only reads the latest results. So
//! a hung dependency never hangs a probe, and probing never becomes load. Liveness depends on no
//! dependency: restarting the process would not bring a database back.
//!
//! A single failed check changes nothing, because a busy machine makes checks slow. A dependency is
//! down after two failures in a row, and up again after one success.
//!
//! Long because checks, verdicts and their signals are one state machine.

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

use signal::{ClosedSet, ErrorType, events};

/// Interval and time limits of dependency checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// The time from the start of one check to the start of the next.
    pub interval: Duration,
    /// Maximum duration of one check.
    pub time_limit: Duration,
    /// Delay before a failed check is repeated while the dependency is up.
    pub confirm_after: Duration,
    /// Maximum duration of the repeated check. It is longer because the machine may be busy.
    pub confirm_time_limit: Duration,
    /// Number of intervals after which a result is stale.
    pub stale_after_intervals: u32,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            time_limit: Duration::from_secs(1),
            confirm_after: Duration::from_millis(500),
            confirm_time_limit: Duration::from_secs(2),
            stale_after_intervals: 3,
        }
    }
}

impl HealthSettings {
    /// Returns the age above which a result is stale.
    fn longest_believable_age(&self) -> Duration {
        let longest_check = self.time_limit.max(self.confirm_time_limit);
        (self.interval * self.stale_after_intervals).max(self.interval + longest_check)
    }
}

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), ErrorType>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// Collects the checks of a process before they start.
pub struct HealthBuilder<D> {
    settings: HealthSettings,
    checks: Vec<(D, bool, Check)>,
}

/// The health of the process. Clones share it; the checks stop when the last clone is dropped.
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
    /// In the order of the dependency's closed set; `None` for those that this process does not
    /// have.
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

/// Meaning of a result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Up,
    /// The dependency was up and has failed once.
    Doubtful,
    Down,
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
    /// Adds a check of a dependency without which no request can be served.
    #[must_use]
    pub fn required<F>(self, dependency: D, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), ErrorType>> + Send + 'static,
    {
        self.check(dependency, true, check)
    }

    /// Adds a check of a dependency whose failure is reported but does not affect readiness.
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

    /// Starts the checks on the current runtime: once immediately, then in every interval.
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
    /// Creates a builder without checks.
    pub fn builder(settings: HealthSettings) -> HealthBuilder<D> {
        HealthBuilder { settings, checks: Vec::new() }
    }

    /// Marks start-up as finished: migrations are done and listeners are bound.
    pub fn mark_started(&self) {
        self.shared.is_started.store(true, Ordering::Release);
    }

    /// Marks the process as draining: it accepts nothing new. It cannot be undone.
    pub fn begin_drain(&self) {
        self.shared.is_draining.store(true, Ordering::Release);
    }

    /// Returns whether the event loop makes progress. Call it from another thread: a stuck loop
    /// cannot respond.
    pub fn live(&self) -> bool {
        lock(&self.shared.heartbeat).elapsed() <= self.shared.settings.longest_believable_age()
    }

    /// Returns whether the process can serve requests now, and if not, why.
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

    /// Returns the current state of the dependency, or `None` if this process does not check it.
    pub fn state(&self, dependency: D) -> Option<DependencyState> {
        let dependency = self.shared.dependencies[dependency.index()].as_ref()?;
        Some(self.shared.state_of(&lock(&dependency.results)))
    }

    /// Returns whether the dependency is down. It costs one atomic load, so requests that need the
    /// dependency can fail fast.
    ///
    /// Returns `false` until the first result: requests must not fail before anything has been
    /// checked.
    #[inline]
    pub fn is_down(&self, dependency: D) -> bool {
        match &self.shared.dependencies[dependency.index()] {
            Some(dependency) => dependency.is_down.load(Ordering::Relaxed),
            None => false,
        }
    }

    /// Returns the full state, for the private listener.
    pub fn detail(&self) -> HealthDetail {
        HealthDetail {
            live: self.live(),
            readiness: self.ready().as_str(),
            dependencies: self.dependencies().map(|dependency| self.shared.detail_of(dependency)).collect(),
        }
    }

    /// Waits until every check has run once.
    pub async fn wait_for_first_results(&self) {
        let mut missing = self.shared.first_results_missing.subscribe();
        // The sender lives as long as `self`, so the wait can only end by the condition.
        let _ = missing.wait_for(|missing| *missing == 0).await;
    }

    fn dependencies(&self) -> impl Iterator<Item = &Dependency<D>> {
        self.shared.dependencies.iter().flatten()
    }
}

impl<D: ClosedSet> Shared<D> {
    /// Returns why the dependency is unusable now, if it is.
    fn error_of(&self, dependency: &Dependency<D>) -> Option<ErrorType> {
        let results = *lock(&dependency.results);
        match results.newest {
            None => Some(ErrorType::Unavailable),
            Some(newest) if self.is_stale(newest) => Some(ErrorType::Stale),
            Some(_) if results.state == DependencyState::Up => None,
            Some(newest) => newest.outcome.err(),
        }
    }

    fn is_stale(&self, newest: NewestResult) -> bool {
        newest.at.elapsed() > self.settings.longest_believable_age()
    }

    /// A stale result is unknown, neither good nor bad.
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
        // Also of a check that has not been confirmed.
        let newest_error = results.newest.and_then(|newest| newest.outcome.err());
        let error_type = results.newest.and_then(|_| self.error_of(dependency)).or(newest_error);
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

    /// Stores the result of a check and logs it if the state changed. Returns its meaning.
    fn store(&self, dependency: D, started: Instant, outcome: Result<(), ErrorType>) -> Verdict {
        let Some(dependency) = &self.dependencies[dependency.index()] else { return Verdict::Up };
        let now = Instant::now();
        let (before, verdict) = {
            let mut results = lock(&dependency.results);
            let before = *results;
            let has_failed_before = before.newest.is_none_or(|newest| newest.outcome.is_err());
            let verdict = match outcome {
                Ok(()) => Verdict::Up,
                Err(_) if has_failed_before => Verdict::Down,
                Err(_) => Verdict::Doubtful,
            };
            let state = match verdict {
                Verdict::Up => DependencyState::Up,
                Verdict::Doubtful => before.state,
                Verdict::Down => DependencyState::Down,
            };
            if state != before.state {
                results.state = state;
                results.since = now;
            }
            if outcome.is_ok() {
                results.last_success = Some(now);
            }
            results.newest = Some(NewestResult { at: now, took: now - started, outcome });
            (before, verdict)
        };
        dependency.is_down.store(verdict == Verdict::Down, Ordering::Relaxed);
        if before.newest.is_none() {
            self.first_results_missing.send_modify(|missing| *missing -= 1);
        }
        let name = dependency.dependency.as_str();
        match outcome {
            Err(error) if verdict == Verdict::Down && before.state != DependencyState::Down => {
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
        verdict
    }
}

/// Updates the heartbeat that shows that the event loop makes progress.
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
    let mut time_limit = shared.settings.time_limit;
    loop {
        ticks.tick().await;
        let started = Instant::now();
        // Runs in its own task, so a check that panics or never yields affects nothing else.
        let mut running = JoinSet::new();
        let check = Arc::clone(&check);
        running.spawn(async move { check().await });
        let outcome = match timeout(time_limit, running.join_next()).await {
            Ok(Some(Ok(outcome))) => outcome,
            Ok(Some(Err(error))) if error.is_panic() => Err(ErrorType::Panic),
            Ok(_) => Err(ErrorType::Cancelled),
            Err(_) => Err(ErrorType::Timeout),
        };
        let verdict = shared.store(dependency, started, outcome);
        // Do not start a second check while one cannot be aborted. Until it ends, the result above
        // becomes stale.
        running.shutdown().await;
        time_limit = shared.settings.time_limit;
        if verdict == Verdict::Doubtful {
            ticks.reset_after(shared.settings.confirm_after);
            time_limit = shared.settings.confirm_time_limit;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
