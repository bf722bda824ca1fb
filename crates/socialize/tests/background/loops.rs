//! Loops: periodic jobs, queue samples and failures.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use catalogue::labels::JobKind;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use socialize::app::App;
use socialize::features::auth::clean_up_tokens::CleanUpTokens;
use socialize::queue::{JobError, JobPolicy, NewJob, Worker};
use socialize::run::workers::WorkerSettings;
use telemetry::{ErrorType, JobOutcome};
use test_support::TestApp;
use tokio::time::Instant;

use crate::support::{
    collect_lines, commit, enqueued, eventually, gauge, job, loop_failures, operations, runs, settings,
};

const KIND: JobKind = JobKind::CleanUpTokens;
const EVERY: Duration = Duration::from_secs(60);

fn periodic() -> WorkerSettings {
    WorkerSettings {
        schedule_interval: Duration::from_millis(5),
        policy: |kind| JobPolicy {
            is_shared: false,
            concurrency: 4,
            timeout: Duration::from_secs(3600),
            every: (kind == KIND).then_some(EVERY),
        },
        ..settings(async |_, _| Ok(()))
    }
}

/// Waits until each scheduler has completed two more iterations: one may have begun before.
async fn looked_again(apps: &[App]) {
    let before: Vec<u64> = apps.iter().map(|app| operations(app, "schedule_periodic_jobs")).collect();
    let has_looked = || {
        apps.iter().zip(&before).all(|(app, before)| operations(app, "schedule_periodic_jobs") >= before + 2)
    };
    eventually("the schedulers look", async || has_looked()).await;
}

#[tokio::test]
async fn a_periodic_job_is_enqueued_once_a_period_by_two_schedulers() {
    let test = TestApp::start().await;
    let apps = [test.app.clone(), test.another_process()];
    let workers = apps.clone().map(|app| Worker::start(app, periodic()));
    let done = || apps.iter().map(|app| runs(app, KIND, JobOutcome::Ok)).sum::<u64>();
    let every = TimeDelta::from_std(EVERY).expect("short");
    let next_run_at = async || -> Option<DateTime<Utc>> {
        let next = sqlx::query_scalar("select next_run_at from periodic_jobs where kind = 'clean_up_tokens'");
        next.fetch_optional(test.pool()).await.expect("the schedule")
    };
    let start = test.app.clock.now();
    looked_again(&apps).await;
    assert_eq!((next_run_at().await, done()), (Some(start + every), 0), "it begins one period later");
    for count in 1..=3 {
        test.app.clock.advance(every);
        eventually("it has run", async || done() == count).await;
        looked_again(&apps).await;
        assert_eq!((next_run_at().await, done()), (Some(test.app.clock.now() + every), count));
    }
    // Missed periods are not made up for.
    test.app.clock.advance(every * 10);
    eventually("it has run", async || done() == 4).await;
    looked_again(&apps).await;
    assert_eq!(done(), 4);
    for worker in workers {
        worker.stop(Instant::now() + EVERY).await;
    }
}

#[tokio::test]
async fn a_periodic_job_that_still_waits_is_not_enqueued_again() {
    let test = TestApp::start().await;
    let fails = WorkerSettings {
        handler: settings(async |_, _| Err(JobError::Retry(ErrorType::Unavailable))).handler,
        ..periodic()
    };
    let worker = Worker::start(test.app.clone(), fails);
    let apps = [test.app.clone()];
    looked_again(&apps).await;
    let count = async || -> i64 {
        sqlx::query_scalar("select count(*) from jobs").fetch_one(test.pool()).await.expect("a count")
    };
    for _ in 0..3 {
        test.app.clock.advance(TimeDelta::from_std(EVERY).expect("short"));
        looked_again(&apps).await;
        assert_eq!(count().await, 1);
    }
    worker.stop(Instant::now() + EVERY).await;
}

fn sampling() -> WorkerSettings {
    WorkerSettings {
        sample_interval: Duration::from_millis(5),
        poll_interval: Duration::from_secs(3600),
        ..settings(async |_, _| Err(JobError::Fail(ErrorType::Rejected)))
    }
}

const DEPTH: &str = "socialize.job.queue.depth";
const OLDEST_AGE: &str = "socialize.job.queue.oldest_age";
const DEAD: &str = "socialize.job.queue.dead";

#[tokio::test]
async fn depth_age_and_dead_jobs_are_reported_for_every_kind() {
    let test = TestApp::start().await;
    assert_eq!(gauge(&test.app, DEPTH, &[("job.kind", "send_email")]), None, "nobody has looked yet");
    let dead = enqueued(&test, &CleanUpTokens).await;
    let worker = Worker::start(test.app.clone(), sampling());
    eventually("one is dead", async || {
        gauge(&test.app, DEAD, &[("job.kind", "clean_up_tokens")]) == Some(1.0)
    })
    .await;
    worker.stop(Instant::now() + EVERY).await;
    // From now on no job is run, so that due jobs stay.
    let worker = Worker::start(test.app.clone(), WorkerSettings { concurrency: 0, ..sampling() });
    let waits = NewJob { run_at: Some(test.app.clock.now() + TimeDelta::seconds(10)), ..job(&CleanUpTokens) };
    assert_ne!(commit(&test, waits).await, dead);
    eventually("one waits", async || {
        gauge(&test.app, DEPTH, &[("job.kind", "clean_up_tokens")]) == Some(1.0)
    })
    .await;
    assert_eq!(
        gauge(&test.app, OLDEST_AGE, &[("job.kind", "clean_up_tokens")]),
        Some(0.0),
        "it is not due yet"
    );
    test.app.clock.advance(TimeDelta::seconds(52));
    eventually("it grows old", async || {
        gauge(&test.app, OLDEST_AGE, &[("job.kind", "clean_up_tokens")]) == Some(42.0)
    })
    .await;
    for name in [DEPTH, OLDEST_AGE, DEAD] {
        assert_eq!(gauge(&test.app, name, &[("job.kind", "send_email")]), Some(0.0), "{name}");
    }
    worker.stop(Instant::now() + EVERY).await;
    assert_eq!(gauge(&test.app, DEPTH, &[("job.kind", "send_email")]), None, "nobody looks any more");
}

#[tokio::test]
async fn one_process_reports_the_queue_and_another_takes_over_from_it() {
    let test = TestApp::start().await;
    let other = test.another_process();
    let reports = |app: &App| gauge(app, DEPTH, &[("job.kind", "send_email")]).is_some();
    let first = Worker::start(test.app.clone(), sampling());
    eventually("the first reports", async || reports(&test.app)).await;
    let second = Worker::start(other.clone(), sampling());
    eventually("the second looks", async || operations(&other, "lock_sampler") >= 3).await;
    assert!(reports(&test.app) && !reports(&other));
    drop(first);
    eventually("the second reports", async || reports(&other)).await;
    assert!(!reports(&test.app));
    second.stop(Instant::now() + EVERY).await;
}

const LAST_SUCCESS: &str = "socialize.loop.last_success.time";

#[tokio::test]
async fn a_loop_that_fails_is_seen_and_recovers_by_itself() {
    let test = TestApp::start().await;
    let (lines, _installed) = collect_lines();
    let worker = Worker::start(
        test.app.clone(),
        WorkerSettings { poll_interval: Duration::from_millis(5), ..sampling() },
    );
    let last_success = |which| gauge(&test.app, LAST_SUCCESS, &[("loop", which)]);
    let started = test.app.clock.now().timestamp() as f64;
    for which in ["worker", "scheduler", "queue_sampler", "gauge_sampler", "gauge_checker"] {
        eventually("an iteration ends", async || last_success(which) == Some(started)).await;
    }
    sqlx::query("alter table jobs rename to jobs_elsewhere").execute(test.pool()).await.expect("renamed");
    for which in ["worker", "queue_sampler"] {
        eventually("it fails", async || lines.find("loop.failed", which).is_some()).await;
        let line = lines.find("loop.failed", which).expect("a line");
        assert_eq!((&line["level"], &line["error.type"]), (&json!("error"), &json!("database_other")));
        assert!(loop_failures(&test.app, which) > 0, "{which}");
    }
    assert_eq!(loop_failures(&test.app, "gauge_sampler"), 0, "another loop goes on");
    test.app.clock.advance(TimeDelta::hours(1));
    assert_eq!(last_success("worker"), Some(started), "its success grows old");
    assert_eq!(
        gauge(&test.app, DEPTH, &[("job.kind", "send_email")]),
        None,
        "what is not known is not reported"
    );

    sqlx::query("alter table jobs_elsewhere rename to jobs").execute(test.pool()).await.expect("renamed");
    for which in ["worker", "queue_sampler"] {
        eventually("another iteration ends", async || last_success(which) == Some(started + 3600.0)).await;
        assert!(lines.find("loop.recovered", which).is_some());
    }
    assert_eq!(gauge(&test.app, DEPTH, &[("job.kind", "send_email")]), Some(0.0));
    worker.stop(Instant::now() + EVERY).await;
}

static PANICS: AtomicBool = AtomicBool::new(false);

#[tokio::test]
async fn a_loop_that_panics_runs_again() {
    let test = TestApp::start().await;
    let (lines, _installed) = collect_lines();
    // The worker reads the policy at its start; the scheduler reads it in every iteration.
    let settings = WorkerSettings {
        schedule_interval: Duration::from_millis(5),
        policy: |_| {
            assert!(!PANICS.load(SeqCst), "as the test wants it");
            JobPolicy { concurrency: 1, is_shared: false, timeout: EVERY, every: None }
        },
        ..settings(async |_, _| Ok(()))
    };
    let worker = Worker::start(test.app.clone(), settings);
    PANICS.store(true, SeqCst);
    eventually("it panics", async || lines.find("loop.failed", "scheduler").is_some()).await;
    assert_eq!(lines.find("loop.failed", "scheduler").expect("a line")["error.type"], "panic");
    assert!(loop_failures(&test.app, "scheduler") > 0);
    PANICS.store(false, SeqCst);
    eventually("an iteration ends", async || lines.find("loop.recovered", "scheduler").is_some()).await;
    worker.stop(Instant::now() + EVERY).await;
}

#[tokio::test]
async fn a_loop_that_stands_still_shows_by_its_age() {
    let test = TestApp::start().await;
    let worker = Worker::start(
        test.app.clone(),
        WorkerSettings { poll_interval: Duration::from_millis(5), ..settings(async |_, _| Ok(())) },
    );
    let last_success = |which| gauge(&test.app, LAST_SUCCESS, &[("loop", which)]);
    let started = test.app.clock.now().timestamp() as f64;
    // The others do not iterate again within an hour, so only this one waits.
    for which in ["worker", "scheduler", "queue_sampler"] {
        eventually("an iteration ends", async || last_success(which) == Some(started)).await;
    }
    // A blocked iteration neither fails nor ends.
    let mut somebody = test.pool().begin().await.expect("a transaction");
    sqlx::query("lock table jobs").execute(&mut *somebody).await.expect("locked");
    test.wait_until_blocked(1).await;
    test.app.clock.advance(TimeDelta::minutes(10));
    assert_eq!((last_success("worker"), loop_failures(&test.app, "worker")), (Some(started), 0));
    somebody.rollback().await.expect("given up");
    eventually("an iteration ends", async || last_success("worker") == Some(started + 600.0)).await;
    worker.stop(Instant::now() + EVERY).await;
}
