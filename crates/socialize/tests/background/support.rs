//! Shared helpers: jobs with scripted behaviour, and waiting for a condition.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use catalogue::labels::JobKind;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{JobId, UserId};
use serde_json::Value as Json;
use socialize::app::App;
use socialize::features::email::Email;
use socialize::platform::database::Transaction;
use socialize::queue::{Job, JobError, JobPolicy, JobType, NewJob, enqueue};
use socialize::run::workers::{WorkerSettings, samples};
use sqlx::migrate::Migrator;
use telemetry::log::{Level, LevelFilter, LogOutput, TracingBridge, TracingBridgeSettings};
use telemetry::meter::Value;
use telemetry::{ClosedSet, JobOutcome};
use test_support::{TestApp, TestDatabase};
use tokio::sync::watch;

/// The lease in these tests. The clock stands still, so a lease expires only when a test advances it.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// A worker whose jobs run `handler`. It polls the queue often; its other loops hardly run.
pub(crate) fn settings<F>(handler: impl Fn(App, Job) -> F + Send + Sync + 'static) -> WorkerSettings
where
    F: Future<Output = Result<(), JobError>> + Send + 'static,
{
    let hour = Duration::from_secs(3600);
    WorkerSettings {
        concurrency: 100,
        lease: LEASE,
        heartbeat: hour,
        poll_interval: Duration::from_millis(20),
        schedule_interval: hour,
        listen_interval: hour,
        sample_interval: hour,
        gauge_interval: hour,
        gauge_check_interval: hour,
        policy: |_| JobPolicy {
            concurrency: 100,
            is_shared: false,
            timeout: Duration::from_secs(3600),
            every: None,
        },
        enqueue_periodic: WorkerSettings::default().enqueue_periodic,
        handler: Arc::new(move |app, job| Box::pin(handler(app, job))),
        samples,
    }
}

/// A job that is due now and has three attempts.
pub(crate) fn job<J: JobType>(payload: &J) -> NewJob<'_, J> {
    NewJob { max_attempts: 3, ..NewJob::of(payload) }
}

/// An e-mail for handlers that do not send it.
pub(crate) fn an_email() -> Email {
    Email::AlreadyRegistered { user: UserId::from(uuid::Uuid::nil()) }
}

pub(crate) async fn commit<J: JobType>(test: &TestApp, job: NewJob<'_, J>) -> JobId {
    let mut transaction = test.app.database.begin().await.expect("a transaction");
    enqueue(&test.app.queue, &mut transaction, job).await.expect("enqueued");
    committed(test, transaction).await
}

/// Commits and returns the id of the newest job, which may already have run afterwards.
pub(crate) async fn committed(test: &TestApp, mut transaction: Transaction) -> JobId {
    let newest = sqlx::query_scalar("select id from jobs order by id desc limit 1");
    let id = newest.fetch_one(&mut *transaction).await.expect("a job");
    test.app.database.commit(transaction).await.expect("committed");
    id
}

/// Commits a job that is due now and has three attempts.
pub(crate) async fn enqueued<J: JobType>(test: &TestApp, payload: &J) -> JobId {
    commit(test, job(payload)).await
}

/// A job's row.
#[derive(Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub(crate) status: String,
    pub(crate) attempts: i32,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) lease_expires_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) last_error_type: Option<String>,
}

/// The job, or `None` once it is done.
pub(crate) async fn row(test: &TestApp, id: JobId) -> Option<JobRow> {
    sqlx::query_as(
        "select status, attempts, run_at, lease_expires_at, finished_at, last_error_type from jobs where id = $1",
    )
    .bind(id)
    .fetch_optional(test.pool())
    .await
    .expect("the queue")
}

/// The job, which must not be done.
pub(crate) async fn waiting(test: &TestApp, id: JobId) -> JobRow {
    row(test, id).await.expect("the job is still there")
}

/// Runs what a crashed worker has left, and returns the numbers of lost leases and of successes. If a claim was in
/// flight during the crash, it may take jobs again, with another lease.
pub(crate) async fn run_after_crash(test: &TestApp) -> (usize, usize) {
    let (mut lost, mut ok) = (0, 0);
    for _ in 0..2 {
        test.app.clock.advance(TimeDelta::from_std(LEASE).expect("short"));
        let counts = test.run_due_jobs().await;
        lost += counts.of(JobOutcome::LostLease);
        ok += counts.of(JobOutcome::Ok);
    }
    (lost, ok)
}

/// Number of runs of this kind with this outcome, by the metric.
pub(crate) fn runs(app: &App, kind: JobKind, outcome: JobOutcome) -> u64 {
    let labels = [("job.kind", kind.as_str()), ("outcome", outcome.as_str())];
    match app.telemetry.meter().snapshot().value("socialize.job.run.duration", &labels) {
        Some(Value::Distribution(distribution)) => distribution.count(),
        other => panic!("a histogram of runs, not {other:?}"),
    }
}

/// Number of successful runs of a database operation.
pub(crate) fn operations(app: &App, name: &str) -> u64 {
    match app.telemetry.meter().snapshot().value(
        "db.client.operation.duration",
        &[("db.query.summary", name), ("db.system.name", "postgresql")],
    ) {
        Some(Value::Distribution(distribution)) => distribution.count(),
        other => panic!("a histogram of operations, not {other:?}"),
    }
}

/// Applies all migrations up to this one.
pub(crate) async fn migrate_to(database: &TestDatabase, version: i64) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut migrator = Migrator::new(directory).await.expect("readable migrations");
    migrator.migrations.to_mut().retain(|migration| migration.version <= version);
    migrator.run(database.pool()).await.expect("migrated");
}

/// Waits until the condition is true; fails after half a minute.
#[track_caller]
pub(crate) fn eventually<C: AsyncFnMut() -> bool>(what: &str, condition: C) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut condition = condition;
    async move {
        while !condition().await {
            assert!(Instant::now() < deadline, "{what}: not within half a minute, at {caller}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A gate that is closed until a test opens it.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub(crate) async fn pass(&self) {
        self.0.subscribe().wait_for(|open| *open).await.expect("the gate exists");
    }
}

/// Value of a gauge with these labels, if it is reported.
pub(crate) fn gauge(app: &App, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    match app.telemetry.meter().snapshot().value(name, labels) {
        Some(Value::Number(number)) => Some(*number),
        None => None,
        other => panic!("a gauge, not {other:?}"),
    }
}

/// Number of failed iterations of this loop.
pub(crate) fn loop_failures(app: &App, which: &str) -> i64 {
    match app.telemetry.meter().snapshot().value("socialize.loop.failures", &[("loop", which)]) {
        Some(Value::Integer(count)) => *count,
        other => panic!("a counter, not {other:?}"),
    }
}

/// Collects `tracing` events.
#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<Json>>);

impl LogOutput for Lines {
    fn line(&self, _: Level, line: &[u8]) {
        let line = serde_json::from_slice(line).expect("every line is JSON");
        self.0.lock().expect("a lock").push(line);
    }
}

impl Lines {
    /// The first line of this event about this loop or gauge.
    pub(crate) fn find(&self, event: &str, which: &str) -> Option<Json> {
        let lines = self.0.lock().expect("a lock");
        let is_it =
            |line: &&Json| line["event"] == event && (line["loop"] == which || line["gauge"] == which);
        lines.iter().find(is_it).cloned()
    }
}

/// Collects events of this thread as long as the second value lives.
pub(crate) fn collect_lines() -> (Arc<Lines>, impl Drop) {
    let lines = Arc::new(Lines::default());
    let settings = TracingBridgeSettings {
        allowed_fields: &["loop", "gauge", "count", "error.type"],
        own_targets: &["socialize"],
        current_ids: || None,
        now: SystemTime::now,
    };
    let bridge = TracingBridge::new(settings, LevelFilter::default(), lines.clone());
    (lines, bridge.install_on_this_thread())
}

/// Asserts that none of these texts is in a line, a span or a job, and returns the lines.
pub(crate) async fn nothing_reveals(test: &TestApp, texts: &[&str]) -> Vec<Json> {
    let lines = test.log_lines();
    let mut spans = Vec::new();
    loop {
        let taken = test.app.telemetry.take_spans(usize::MAX, Vec::new());
        if taken.count == 0 {
            break;
        }
        spans.extend(taken.request);
    }
    assert!(!spans.is_empty());
    let spans = String::from_utf8_lossy(&spans);
    let jobs: Vec<String> = sqlx::query_scalar("select to_jsonb(jobs)::text from jobs")
        .fetch_all(test.pool())
        .await
        .expect("jobs");
    for text in texts {
        assert!(!format!("{lines:?}").contains(text), "{text} in {lines:?}");
        assert!(!spans.contains(text), "{text} in a span");
        assert!(!format!("{jobs:?}").contains(text), "{text} in {jobs:?}");
    }
    lines
}
