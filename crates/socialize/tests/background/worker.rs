//! Workers that run side by side, freeze, stop and die.
//!
//! Long because each way in which a worker can end is a test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalogue::labels::JobKind;
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::JobId;
use socialize::app::App;
use socialize::features::auth::clean_up_tokens::CleanUpTokens;
use socialize::platform::clock::Clock;
use socialize::queue::{JobError, JobPolicy, NewJob, Worker, WorkerHandle, enqueue, run_due_jobs_with};
use socialize::run::workers::WorkerSettings;
use telemetry::{ErrorType, JobOutcome};
use test_support::TestApp;
use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::support::{
    Gate, LEASE, an_email, commit, committed, enqueued, eventually, job, operations, row, run_after_crash,
    runs, settings, waiting,
};

const KIND: JobKind = JobKind::CleanUpTokens;

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_never_run_the_same_job_at_once() {
    let test = TestApp::start().await;
    let counts: Arc<Mutex<HashMap<JobId, usize>>> = Arc::default();
    let counted = counts.clone();
    let busy = move || {
        let counts = counted.clone();
        WorkerSettings {
            concurrency: 5,
            ..settings(move |_, job| {
                *counts.lock().expect("a lock").entry(job.id).or_default() += 1;
                async move {
                    tokio::task::yield_now().await;
                    Ok(())
                }
            })
        }
    };
    for _ in 0..150 {
        enqueued(&test, &CleanUpTokens).await;
    }
    let apps = [test.app.clone(), test.another_process(), test.another_process()];
    let workers = apps.clone().map(|app| Worker::start(app, busy()));
    let done = || apps.iter().map(|app| runs(app, KIND, JobOutcome::Ok)).sum::<u64>();
    eventually("all jobs have run", async || done() == 150).await;
    for worker in workers {
        worker.stop(far_future()).await;
    }
    let counts = counts.lock().expect("a lock");
    assert_eq!((counts.len(), counts.values().sum::<usize>(), done()), (150, 150, 150));
}

#[tokio::test]
async fn a_kind_runs_as_often_at_once_as_it_may_and_holds_up_no_other() {
    let test = TestApp::start().await;
    let gate = Gate::closed();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak, door) = (running.clone(), most.clone(), gate.clone());
    let limited = WorkerSettings {
        policy: |_| JobPolicy {
            concurrency: 2,
            is_shared: false,
            timeout: Duration::from_secs(3600),
            every: None,
        },
        ..settings(move |_, job| {
            let (inside, peak, door) = (inside.clone(), peak.clone(), door.clone());
            async move {
                if job.kind == JobKind::SendEmail {
                    peak.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    door.pass().await;
                    inside.fetch_sub(1, SeqCst);
                }
                Ok(())
            }
        })
    };
    for _ in 0..6 {
        enqueued(&test, &an_email()).await;
    }
    let worker = Worker::start(test.app.clone(), limited);
    eventually("two are running", async || running.load(SeqCst) == 2).await;
    enqueued(&test, &CleanUpTokens).await;
    eventually("another kind has run", async || runs(&test.app, KIND, JobOutcome::Ok) == 1).await;
    gate.open();
    eventually("all have run", async || runs(&test.app, JobKind::SendEmail, JobOutcome::Ok) == 6).await;
    assert_eq!(most.load(SeqCst), 2);
    worker.stop(far_future()).await;
}

/// Polling is disabled here, so each freed slot must trigger a claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_that_become_free_together_are_all_filled_again() {
    const SLOTS: usize = 8;
    const JOBS: usize = 25 * SLOTS;
    let test = TestApp::start().await;
    for _ in 0..JOBS {
        enqueued(&test, &CleanUpTokens).await;
    }
    // All eight run concurrently, or none of them ends.
    let barrier = Arc::new(Barrier::new(SLOTS));
    let together = settings(move |_, _| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(())
        }
    });
    let (concurrency, poll_interval) = (SLOTS, Duration::from_secs(3600));
    let worker = Worker::start(test.app.clone(), WorkerSettings { concurrency, poll_interval, ..together });
    eventually("all have run", async || runs(&test.app, KIND, JobOutcome::Ok) == JOBS as u64).await;
    worker.stop(far_future()).await;
}

/// Jobs that wait for the gate.
fn at_gate(gate: &Gate) -> WorkerSettings {
    let gate = gate.clone();
    settings(move |_, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok(())
        }
    })
}

/// Starts a worker whose job waits for the gate, and waits until it runs. Claims follow each other at once.
async fn running_at_gate(test: &TestApp, id: JobId, heartbeat: Duration) -> (Gate, WorkerHandle<App>) {
    let gate = Gate::closed();
    let poll_interval = Duration::ZERO;
    let worker =
        Worker::start(test.app.clone(), WorkerSettings { heartbeat, poll_interval, ..at_gate(&gate) });
    eventually("it runs", async || waiting(test, id).await.status == "running").await;
    (gate, worker)
}

#[tokio::test]
async fn a_worker_that_was_frozen_cannot_touch_what_another_has_taken_over() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let first_gate = Gate::closed();
    let (app, first_settings) = (test.app.clone(), at_gate(&first_gate));
    let first = tokio::spawn(async move { run_due_jobs_with(&app, &first_settings).await });
    eventually("it runs", async || waiting(&test, id).await.status == "running").await;

    // The first one does not renew its lease until it expires.
    test.app.clock.advance(TimeDelta::from_std(LEASE).expect("short"));
    let (gate, door) = (Gate::closed(), Gate::closed());
    let (passed, other) = (gate.clone(), test.another_process());
    let second = Worker::start(
        other.clone(),
        settings(move |_, job| {
            let (passed, arrived) = (passed.clone(), door.clone());
            async move {
                assert_eq!(job.attempt, 2);
                arrived.open();
                passed.pass().await;
                Ok(())
            }
        }),
    );
    eventually("the other has it", async || waiting(&test, id).await.attempts == 2).await;

    first_gate.open();
    let counts = first.await.expect("no panic").expect("the queue answers");
    assert_eq!((counts.of(JobOutcome::LostLease), counts.total()), (1, 1));
    let job = waiting(&test, id).await;
    assert_eq!((job.status.as_str(), job.attempts), ("running", 2), "the first one's end was refused");
    assert_eq!(runs(&test.app, KIND, JobOutcome::LostLease), 1);

    gate.open();
    eventually("the other has ended", async || row(&test, id).await.is_none()).await;
    eventually("it counts", async || runs(&other, KIND, JobOutcome::Ok) == 1).await;
    second.stop(far_future()).await;
}

#[tokio::test]
async fn a_failure_of_a_worker_that_was_frozen_does_not_count_either() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let gate = Gate::closed();
    let door = gate.clone();
    let fails = settings(move |_, _| {
        let door = door.clone();
        async move {
            door.pass().await;
            Err(JobError::Fail(ErrorType::Rejected))
        }
    });
    let worker = Worker::start(test.app.clone(), fails);
    eventually("it runs", async || waiting(&test, id).await.status == "running").await;
    take_over(&test, id).await;
    gate.open();
    eventually("it has ended", async || runs(&test.app, KIND, JobOutcome::LostLease) == 1).await;
    assert_eq!(waiting(&test, id).await.status, "running");
    worker.stop(far_future()).await;
}

/// The current time by the database's clock.
async fn database_now(test: &TestApp) -> DateTime<Utc> {
    sqlx::query_scalar("select now()").fetch_one(test.pool()).await.expect("a time")
}

/// Two machines whose clocks are wrong by more than a lease: one is ahead, one behind.
fn wrong_machines(test: &TestApp) -> [App; 2] {
    [70, -70].map(|seconds| test.another_process_by(Clock::wrong_by(TimeDelta::seconds(seconds))))
}

#[tokio::test]
async fn a_worker_whose_clock_is_wrong_takes_no_running_job() {
    let test = TestApp::start().await;
    let [ahead, behind] = wrong_machines(&test);
    for (holder, other) in [(&behind, &ahead), (&ahead, &behind)] {
        let id = enqueued_by(&test, holder, None).await;
        let gate = Gate::closed();
        let worker = Worker::start(holder.clone(), at_gate(&gate));
        eventually("it runs", async || waiting(&test, id).await.status == "running").await;
        let rival = Worker::start(other.clone(), settings(async |_, _| Ok(())));
        let (looked, recovered) =
            (operations(other, "claim_jobs"), operations(other, "recover_expired_jobs"));
        eventually("the other has looked", async || {
            operations(other, "claim_jobs") > looked + 2
                && operations(other, "recover_expired_jobs") > recovered + 2
        })
        .await;
        let job = waiting(&test, id).await;
        assert_eq!((job.status.as_str(), job.attempts), ("running", 1));
        gate.open();
        eventually("it is done", async || row(&test, id).await.is_none()).await;
        assert_eq!(runs(other, KIND, JobOutcome::LostLease), 0);
        worker.stop(far_future()).await;
        rival.stop(far_future()).await;
    }
}

/// Commits a job as this process would.
async fn enqueued_by(test: &TestApp, app: &App, run_at: Option<DateTime<Utc>>) -> JobId {
    let mut transaction = app.database.begin().await.expect("a transaction");
    enqueue(&app.queue, &mut transaction, NewJob { run_at, ..job(&CleanUpTokens) }).await.expect("enqueued");
    committed(test, transaction).await
}

#[tokio::test]
async fn jobs_are_due_by_the_clock_of_the_database() {
    let test = TestApp::start().await;
    let apps = wrong_machines(&test);
    let fails = settings(async |_, _| Err(JobError::Retry(ErrorType::Unavailable)));
    for app in &apps {
        // An immediate job waits for no clock, and a delayed one for the database's clock.
        let id = enqueued_by(&test, app, None).await;
        let later = enqueued_by(&test, app, Some(database_now(&test).await + TimeDelta::seconds(60))).await;
        let counts = run_due_jobs_with(app, &fails).await.expect("the queue answers");
        assert_eq!((counts.of(JobOutcome::Retry), counts.total()), (1, 1));
        assert_eq!(waiting(&test, later).await.attempts, 0);
        let wait = waiting(&test, id).await.run_at - database_now(&test).await;
        assert!(wait <= TimeDelta::milliseconds(6_250), "it waits for {wait}");
        assert!(wait > TimeDelta::seconds(-50), "it waits for {wait}");
        sqlx::query("delete from jobs").execute(test.pool()).await.expect("deleted");
    }
}

#[tokio::test]
async fn periodic_jobs_are_due_by_the_clock_of_the_database() {
    let test = TestApp::start().await;
    let workers = wrong_machines(&test).map(|app| {
        let schedule_interval = Duration::from_millis(5);
        let policy = |kind| JobPolicy {
            concurrency: 1,
            is_shared: false,
            timeout: Duration::from_secs(3600),
            every: (kind == KIND).then_some(Duration::from_secs(30)),
        };
        let nothing = settings(async |_, _| Ok(()));
        let worker = Worker::start(app.clone(), WorkerSettings { schedule_interval, policy, ..nothing });
        (app, worker)
    });
    eventually("both have looked several times", async || {
        workers.iter().all(|(app, _)| operations(app, "schedule_periodic_jobs") > 5)
    })
    .await;
    // If the period were shorter than the clock difference, the machine that is ahead would find it due at
    // once.
    let total: u64 = workers.iter().map(|(app, _)| runs(app, KIND, JobOutcome::Ok)).sum();
    assert_eq!(total, 0);
    let next: DateTime<Utc> = sqlx::query_scalar("select next_run_at from periodic_jobs")
        .fetch_one(test.pool())
        .await
        .expect("a periodic job");
    assert!(next - database_now(&test).await <= TimeDelta::seconds(30));
    for (_, worker) in workers {
        worker.stop(far_future()).await;
    }
}

/// Takes a job over as another worker would.
async fn take_over(test: &TestApp, id: JobId) {
    sqlx::query("update jobs set lease_token = gen_random_uuid() where id = $1")
        .bind(id)
        .execute(test.pool())
        .await
        .expect("taken over");
}

#[tokio::test]
async fn a_running_job_shows_signs_of_life() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let (gate, worker) = running_at_gate(&test, id, Duration::from_millis(5)).await;
    let lease_end = || async { waiting(&test, id).await.lease_expires_at.expect("a lease") };
    let before = lease_end().await;
    test.app.clock.advance(TimeDelta::seconds(30));
    eventually("the lease grows", async || lease_end().await == before + TimeDelta::seconds(30)).await;
    gate.open();
    eventually("it is done", async || row(&test, id).await.is_none()).await;
    worker.stop(far_future()).await;
}

#[tokio::test]
async fn work_ends_when_its_lease_is_found_to_be_lost() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let (_gate, worker) = running_at_gate(&test, id, Duration::from_millis(5)).await;
    take_over(&test, id).await;
    // The gate stays closed, so the work itself never ends.
    eventually("it is given up", async || runs(&test.app, KIND, JobOutcome::LostLease) == 1).await;
    assert_eq!(waiting(&test, id).await.status, "running", "it is the other's");
    worker.stop(far_future()).await;
}

#[tokio::test]
async fn stopping_lets_running_jobs_end_and_claims_no_more() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let (gate, worker) = running_at_gate(&test, id, LEASE).await;
    let claims = operations(&test.app, "claim_jobs");
    eventually("it goes on claiming", async || operations(&test.app, "claim_jobs") > claims).await;
    let stopping = tokio::spawn(worker.stop(far_future()));
    let opened = async {
        let next = enqueued(&test, &CleanUpTokens).await;
        gate.open();
        next
    };
    let (next, stopped) = tokio::join!(opened, stopping);
    stopped.expect("stopped");
    assert_eq!(row(&test, id).await, None);
    assert_eq!(runs(&test.app, KIND, JobOutcome::HandedBack), 0);
    let claims = operations(&test.app, "claim_jobs");
    tokio::task::yield_now().await;
    assert_eq!(operations(&test.app, "claim_jobs"), claims);
    // The second job is not lost, whether it was claimed before the stop or not.
    assert_eq!(runs(&test.app, KIND, JobOutcome::Ok) == 2, row(&test, next).await.is_none());
}

#[tokio::test]
async fn what_has_not_ended_by_the_deadline_is_handed_back_at_no_cost() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let (_gate, worker) = running_at_gate(&test, id, LEASE).await;
    worker.stop(Instant::now()).await;
    let job = waiting(&test, id).await;
    assert_eq!((job.status.as_str(), job.attempts, job.lease_expires_at), ("queued", 0, None));
    // On a starved machine the worker does not wait until the run is recorded.
    eventually("the run is recorded", async || runs(&test.app, KIND, JobOutcome::HandedBack) == 1).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
}

#[tokio::test]
async fn what_a_crash_interrupts_runs_again() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let (_gate, worker) = running_at_gate(&test, id, LEASE).await;
    drop(worker);
    let (lost, ok) = run_after_crash(&test).await;
    assert_eq!((ok, row(&test, id).await), (1, None));
    assert!((1..=2).contains(&lost), "{lost}");
}

/// Backend process id of the listening connection, once there is one.
async fn listener(test: &TestApp) -> Option<i32> {
    sqlx::query_scalar(
        "select pid from pg_stat_activity
         where datname = current_database() and query like 'LISTEN%' and state = 'idle'",
    )
    .fetch_optional(test.pool())
    .await
    .expect("the activity of the server")
}

#[tokio::test]
async fn a_new_job_wakes_a_worker_that_would_not_look_for_an_hour() {
    let test = TestApp::start().await;
    let sleepy =
        || WorkerSettings { poll_interval: Duration::from_secs(3600), ..settings(async |_, _| Ok(())) };
    let worker = Worker::start(test.app.clone(), sleepy());
    eventually("it listens", async || listener(&test).await.is_some()).await;
    // The worker may find the first ones because it polls when it starts to listen, but not all five.
    for count in 1..=5 {
        enqueued(&test, &CleanUpTokens).await;
        eventually("it is woken", async || runs(&test.app, KIND, JobOutcome::Ok) == count).await;
    }
    // The connection is lost and re-established.
    let before = listener(&test).await.expect("a listener");
    sqlx::query("select pg_terminate_backend($1)").bind(before).execute(test.pool()).await.expect("ended");
    eventually("it listens again", async || listener(&test).await.is_some_and(|pid| pid != before)).await;
    for count in 6..=10 {
        enqueued(&test, &CleanUpTokens).await;
        eventually("it is woken again", async || runs(&test.app, KIND, JobOutcome::Ok) == count).await;
    }
    worker.stop(far_future()).await;
}

#[tokio::test]
async fn a_job_that_nobody_told_of_is_found_by_looking() {
    let test = TestApp::start().await;
    let worker = Worker::start(test.app.clone(), settings(async |_, _| Ok(())));
    let run_at = test.app.clock.now() + TimeDelta::hours(1);
    commit(&test, NewJob { run_at: Some(run_at), ..job(&CleanUpTokens) }).await;
    let looked = operations(&test.app, "claim_jobs");
    eventually("it was looked for", async || operations(&test.app, "claim_jobs") > looked + 2).await;
    assert_eq!(runs(&test.app, KIND, JobOutcome::Ok), 0);
    test.app.clock.advance(TimeDelta::hours(1));
    eventually("it has run", async || runs(&test.app, KIND, JobOutcome::Ok) == 1).await;
    worker.stop(far_future()).await;
}

#[tokio::test]
async fn the_end_of_a_run_outlives_a_short_absence_of_the_database() {
    let test = TestApp::start().await;
    let id = enqueued(&test, &CleanUpTokens).await;
    let (gate, worker) = running_at_gate(&test, id, LEASE).await;
    let rename = async |from: &str, to: &str| {
        let statement = format!("alter table {from} rename to {to}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(test.pool()).await.expect("renamed");
    };
    rename("jobs", "jobs_elsewhere").await;
    gate.open();
    let failures = || {
        // There is no such table.
        let labels = [
            ("db.query.summary", "finish_job"),
            ("db.system.name", "postgresql"),
            ("error.type", "database_other"),
            ("db.response.status_code", "42P01"),
        ];
        match test.metrics().value("db.client.operation.duration", &labels) {
            Some(telemetry::meter::Value::Distribution(distribution)) => distribution.count(),
            None => 0,
            other => panic!("a histogram, not {other:?}"),
        }
    };
    eventually("it tried to end", async || failures() > 0).await;
    rename("jobs_elsewhere", "jobs").await;
    eventually("it has ended", async || row(&test, id).await.is_none()).await;
    eventually("and counts", async || runs(&test.app, KIND, JobOutcome::Ok) == 1).await;
    worker.stop(far_future()).await;
}
