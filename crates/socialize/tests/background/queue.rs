//! Claiming and ending jobs, step by step.

use std::panic::panic_any;
use std::time::Duration;

use catalogue::labels::JobKind;
use chrono::TimeDelta;
use domain::ids::JobId;
use serde_json::{Value, json};
use socialize::features::auth::clean_up_tokens::CleanUpTokens;
use socialize::features::workspaces::expire_invites::ExpireInvites;
use socialize::queue::{JobError, JobPolicy, NewJob, RunCounts, enqueue, run_due_jobs_with};
use socialize::run::workers::WorkerSettings;
use telemetry::{ErrorType, JobOutcome};
use test_support::{TestApp, TestDatabase};
use uuid::Uuid;

use crate::support::{LEASE, an_email, commit, enqueued, job, migrate_to, row, runs, settings, waiting};

const KIND: JobKind = JobKind::CleanUpTokens;

async fn run(test: &TestApp, settings: &WorkerSettings) -> RunCounts {
    run_due_jobs_with(&test.app, settings).await.expect("the queue answers")
}

/// Log lines of job runs.
fn run_lines(test: &TestApp) -> Vec<Value> {
    test.log_lines().into_iter().filter(|line| line["event"] == "job.run").collect()
}

#[tokio::test]
async fn a_job_that_is_due_runs_once_and_is_gone() {
    let test = TestApp::start().await;
    assert_eq!(test.run_due_jobs().await.total(), 0);
    let id = enqueued(&test, &CleanUpTokens).await;
    let counts = test.run_due_jobs().await;
    assert_eq!((counts.of(JobOutcome::Ok), counts.total()), (1, 1));
    assert_eq!((row(&test, id).await, test.run_due_jobs().await.total()), (None, 0));

    assert_eq!(runs(&test.app, KIND, JobOutcome::Ok), 1);
    let lines = run_lines(&test);
    let [line] = &lines[..] else { panic!("one line, not {lines:?}") };
    assert_eq!((&line["job.kind"], &line["outcome"]), (&json!("clean_up_tokens"), &json!("ok")));
    assert_eq!((&line["job.id"], &line["job.attempt"]), (&json!(id.to_string()), &json!(1)));
    assert_eq!(line["level"], "info");
}

#[tokio::test]
async fn a_job_runs_not_before_its_time() {
    let test = TestApp::start().await;
    let run_at = test.app.clock.now() + TimeDelta::minutes(5);
    commit(&test, NewJob { run_at: Some(run_at), ..job(&CleanUpTokens) }).await;
    test.app.clock.advance(TimeDelta::minutes(5) - TimeDelta::microseconds(1));
    assert_eq!(test.run_due_jobs().await.total(), 0);
    test.app.clock.advance(TimeDelta::microseconds(1));
    assert_eq!(test.run_due_jobs().await.total(), 1);
}

#[tokio::test]
async fn a_job_exists_only_if_its_transaction_commits() {
    let test = TestApp::start().await;
    let mut transaction = test.app.database.begin().await.expect("a transaction");
    enqueue(&test.app.queue, &mut transaction, job(&CleanUpTokens)).await.expect("enqueued");
    drop(transaction);
    assert_eq!(test.run_due_jobs().await.total(), 0);
}

#[tokio::test]
async fn a_failing_job_waits_longer_each_time_and_dies_after_its_last_attempt() {
    let test = TestApp::start().await;
    let fails = settings(async |_, _| Err(JobError::Retry(ErrorType::Unavailable)));
    let id = enqueued(&test, &CleanUpTokens).await;
    for (attempt, shortest, longest) in [(1, 3_750, 6_250), (2, 11_250, 18_750)] {
        let counts = run(&test, &fails).await;
        assert_eq!((counts.of(JobOutcome::Retry), counts.total()), (1, 1));
        let job = waiting(&test, id).await;
        let wait = (job.run_at - test.app.clock.now()).num_milliseconds();
        assert!((shortest..=longest).contains(&wait), "{wait} ms after attempt {attempt}");
        assert_eq!((job.status.as_str(), job.attempts, job.lease_expires_at), ("queued", attempt, None));
        assert_eq!(job.last_error_type.as_deref(), Some("unavailable"));
        assert_eq!(run(&test, &fails).await.total(), 0, "it waits for its time");
        test.app.clock.advance(TimeDelta::seconds(20));
    }
    assert_eq!(run(&test, &fails).await.of(JobOutcome::Dead), 1);
    let job = waiting(&test, id).await;
    assert_eq!((job.status.as_str(), job.attempts), ("dead", 3));
    assert_eq!(job.finished_at, Some(test.app.clock.now()));
    test.app.clock.advance(TimeDelta::days(365));
    assert_eq!(run(&test, &fails).await.total(), 0, "dead is dead");

    let ended = |outcome| runs(&test.app, KIND, outcome);
    assert_eq!((ended(JobOutcome::Retry), ended(JobOutcome::Dead), ended(JobOutcome::Ok)), (2, 1, 0));
    let lines = run_lines(&test);
    let told = lines.iter().map(|line| (&line["level"], &line["job.attempt"], &line["error.cause"]));
    let expected = [("warn", 1), ("warn", 2), ("error", 3)];
    for (line, (level, attempt)) in told.zip(expected) {
        assert_eq!(line, (&json!(level), &json!(attempt), &json!("unavailable")));
    }
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_job_that_cannot_succeed_dies_at_once() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let counts = run(&test, &settings(async |_, _| Err(JobError::Fail(ErrorType::Rejected)))).await;
    assert_eq!((counts.of(JobOutcome::Dead), counts.total()), (1, 1));
    let job = waiting(&test, id).await;
    assert_eq!((job.status.as_str(), job.attempts), ("dead", 1));
    assert_eq!(job.last_error_type.as_deref(), Some("rejected"));
}

#[tokio::test]
async fn a_panic_is_a_failure_and_its_text_is_recorded_nowhere() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let panics = settings(async |_, _| panic_any("ada@example.com".to_owned()));
    assert_eq!(run(&test, &panics).await.of(JobOutcome::Retry), 1);
    assert_eq!(waiting(&test, id).await.last_error_type.as_deref(), Some("panic"));
    let lines = run_lines(&test);
    assert_eq!(lines[0]["error.cause"], "panic");
    assert!(!format!("{lines:?}").contains("ada@"), "{lines:?}");
}

#[tokio::test]
async fn a_job_that_hangs_is_ended() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let hangs = WorkerSettings {
        policy: |_| JobPolicy {
            concurrency: 1,
            is_shared: false,
            timeout: Duration::from_millis(20),
            every: None,
        },
        ..settings(async |_, _| std::future::pending().await)
    };
    assert_eq!(run(&test, &hangs).await.of(JobOutcome::Retry), 1);
    assert_eq!(waiting(&test, id).await.last_error_type.as_deref(), Some("timeout"));
}

#[tokio::test]
async fn a_payload_that_nobody_understands_is_kept_for_the_operator() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &an_email()).await;
    let payload = "update jobs set payload = '{\"template\": \"of tomorrow\"}'";
    sqlx::query(payload).execute(test.pool()).await.expect("a job of a later version");
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Dead), 1);
    assert_eq!(waiting(&test, id).await.last_error_type.as_deref(), Some("invalid_data"));
}

#[tokio::test]
async fn the_same_work_is_not_enqueued_twice() {
    let test = TestApp::start().await;
    let keyed = || NewJob { deduplication_key: Some("k".to_owned()), ..job(&CleanUpTokens) };
    let count = async || -> i64 {
        sqlx::query_scalar("select count(*) from jobs").fetch_one(test.pool()).await.expect("a count")
    };
    commit(&test, keyed()).await;
    commit(&test, keyed()).await;
    assert_eq!(count().await, 1);
    // Nor while it runs.
    let running = settings(async |app, _| {
        let mut transaction = app.database.begin().await?;
        let deduplication_key = Some("k".to_owned());
        let again = NewJob { deduplication_key, max_attempts: 1, ..job(&CleanUpTokens) };
        enqueue(&app.queue, &mut transaction, again).await?;
        app.database.commit(transaction).await?;
        Err(JobError::Fail(ErrorType::Rejected))
    });
    let counts = run(&test, &running).await;
    assert_eq!((counts.of(JobOutcome::Dead), counts.total()), (1, 1));
    // A dead one does not block it.
    commit(&test, keyed()).await;
    assert_eq!(count().await, 2);
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
}

#[tokio::test]
async fn a_run_is_linked_to_the_span_that_enqueued_it() {
    let test = TestApp::start().await;
    let inner = test.app.clone();
    enqueued(&test, &CleanUpTokens).await;
    let enqueues = settings(move |_, running| {
        let app = inner.clone();
        async move {
            if running.attempt == 1 && running.kind == KIND {
                let mut transaction = app.database.begin().await?;
                enqueue(&app.queue, &mut transaction, job(&ExpireInvites)).await?;
                app.database.commit(transaction).await?;
            }
            Ok(())
        }
    });
    assert_eq!(run(&test, &enqueues).await.of(JobOutcome::Ok), 2);
    let lines = run_lines(&test);
    let line = |job: &str| lines.iter().find(|line| line["job.kind"] == job).expect("a line");
    let (first, second) = (line("clean_up_tokens"), line("expire_invites"));
    assert_eq!(second["link.trace_id"], first["trace_id"]);
    assert_ne!(second["trace_id"], first["trace_id"], "a run is the root of a trace of its own");
    assert_eq!(first.get("link.trace_id"), None, "it was not enqueued in a span");
}

#[tokio::test]
async fn a_kind_of_another_version_is_left_alone() {
    let test = TestApp::start().await;
    let now = test.app.clock.now();
    sqlx::query(
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at) values ($1, 'of_tomorrow', '{}', $2, \
         3, $2)",
    )
    .bind(Uuid::now_v7())
    .bind(now)
    .execute(test.pool())
    .await
    .expect("a job");
    assert_eq!(test.run_due_jobs().await.total(), 0);
}

/// Makes a job unreadable for every version: its payload contains a number out of every type's range.
async fn make_unreadable(test: &TestApp, id: JobId) {
    sqlx::query("update jobs set payload = '{\"template\": 1e400}' where id = $1")
        .bind(id)
        .execute(test.pool())
        .await
        .expect("a job");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_touches_none_of_its_neighbours() {
    let test = TestApp::start().await;
    let neighbours = [enqueued(&test, &CleanUpTokens).await, enqueued(&test, &an_email()).await];
    let unreadable = enqueued(&test, &an_email()).await;
    make_unreadable(&test, unreadable).await;
    let others = [enqueued(&test, &CleanUpTokens).await, enqueued(&test, &an_email()).await];
    // The job's handler reads the payload.
    let reads = settings(async |_, job| job.payload::<Value>().map(drop));
    let counts = run(&test, &reads).await;
    assert_eq!((counts.of(JobOutcome::Ok), counts.of(JobOutcome::Dead), counts.total()), (4, 1, 5));
    for id in neighbours.into_iter().chain(others) {
        assert_eq!(row(&test, id).await, None);
    }
    let job = waiting(&test, unreadable).await;
    assert_eq!((job.status.as_str(), job.last_error_type.as_deref()), ("dead", Some("invalid_data")));
    let lines = run_lines(&test);
    let line = lines.iter().find(|line| line["job.id"] == unreadable.to_string()).expect("a line");
    assert_eq!((&line["outcome"], &line["error.cause"]), (&json!("dead"), &json!("invalid_data")));
}

/// A job as a dead worker leaves it.
async fn left_behind(test: &TestApp, attempts: i32) -> JobId {
    let id = enqueued(test, &CleanUpTokens).await;
    sqlx::query(
        "update jobs set status = 'running', attempts = $2, lease_token = gen_random_uuid(), lease_expires_at = $3 \
         where id = $1",
    )
    .bind(id)
    .bind(attempts)
    .bind(test.app.clock.now() + LEASE)
    .execute(test.pool())
    .await
    .expect("a job");
    id
}

#[tokio::test]
async fn what_a_dead_worker_left_behind_is_taken_over_when_its_lease_runs_out() {
    let test = TestApp::start().await;
    let id = left_behind(&test, 1).await;
    assert_eq!(test.run_due_jobs().await.total(), 0, "the lease still holds");
    test.app.clock.advance(TimeDelta::from_std(LEASE).expect("short"));
    let counts = test.run_due_jobs().await;
    assert_eq!((counts.of(JobOutcome::LostLease), counts.of(JobOutcome::Ok), counts.total()), (1, 1, 2));
    assert_eq!(row(&test, id).await, None);
    let lines = run_lines(&test);
    let told: Vec<_> = lines.iter().map(|line| (&line["outcome"], &line["job.attempt"])).collect();
    assert_eq!(told, [(&json!("lost_lease"), &json!(1)), (&json!("ok"), &json!(2))]);
}

#[tokio::test]
async fn a_job_that_killed_its_worker_at_the_last_attempt_is_dead() {
    let test = TestApp::start().await;
    let id = left_behind(&test, 3).await;
    test.app.clock.advance(TimeDelta::from_std(LEASE).expect("short"));
    let counts = test.run_due_jobs().await;
    assert_eq!((counts.of(JobOutcome::Dead), counts.total()), (1, 1));
    let job = waiting(&test, id).await;
    assert_eq!((job.status.as_str(), job.attempts, job.lease_expires_at), ("dead", 3, None));
    assert_eq!(job.last_error_type.as_deref(), Some("lost_lease"));
    assert_eq!(runs(&test.app, KIND, JobOutcome::Dead), 1, "it is counted although no run of it ended");
    assert_eq!(run_lines(&test)[0]["level"], "error");
}

/// Jobs as an older version may have left them, of which only the first can be claimed.
const UNCLAIMABLE: &str = "
    insert into jobs (id, kind, payload, status, attempts, run_at, max_attempts, created_at)
    values (gen_random_uuid(), 'send_email', '{}', 'queued', 0, now(), 5, now()),
           (gen_random_uuid(), 'send_email', '{}', 'queued', 0, '-infinity', 5, now()),
           (gen_random_uuid(), 'send_email', '{}', 'queued', 0, now(), 5, 'infinity'),
           (gen_random_uuid(), 'send_email', '{}', 'queued', 5, now(), 5, now());
    insert into jobs
        (id, kind, payload, status, run_at, max_attempts, created_at, lease_token, lease_expires_at, finished_at)
    values (gen_random_uuid(), 'send_email', '{}', 'running', now(), 5, now(), gen_random_uuid(), 'infinity', null),
           (gen_random_uuid(), 'send_email', '{}', 'dead', now(), 5, now(), null, null, '-infinity');
    insert into periodic_jobs (kind, next_run_at) values ('expire_invites', 'infinity');
";

#[tokio::test]
async fn jobs_that_nobody_could_claim_are_set_aside_when_socialize_is_upgraded() {
    let database = TestDatabase::create_empty().await;
    migrate_to(&database, 17).await;
    sqlx::raw_sql(UNCLAIMABLE).execute(database.pool()).await.expect("an older database");
    migrate_to(&database, i64::MAX).await;

    let count = async |query: &'static str| -> i64 {
        sqlx::query_scalar(query).fetch_one(database.pool()).await.expect("a count")
    };
    assert_eq!(count("select count(*) from jobs where status = 'queued'").await, 1);
    let set_aside = "select count(*) from jobs where status = 'dead' and last_error_type = 'invalid_data'";
    assert_eq!(count(set_aside).await, 5);
    assert_eq!(count("select count(*) from periodic_jobs where next_run_at <= now()").await, 1);
}
