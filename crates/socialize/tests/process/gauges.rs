//! Gauges of the database: exported by one of several processes, and `socialize gauges`.

use exposition::Exposition;
use nix::sys::signal::Signal;
use test_support::TestDatabase;
use test_support::process::{Ended, Launch, Process, eventually, program};

const LAST_SUCCESS: &str = "socialize_sampler_last_success_time_seconds";
const CONTENT_ITEMS: &str = "socialize_content_items";

async fn replica(database: &TestDatabase) -> Process {
    Launch::role("work", database.url()).variable("SOCIALIZE_GAUGE_INTERVAL", "500ms").start().await
}

fn samples(metrics: &Exposition, name: &str) -> usize {
    metrics.families.iter().flat_map(|family| &family.samples).filter(|sample| sample.name == name).count()
}

async fn exports(process: &Process) -> bool {
    let metrics = process.metrics().await;
    // Either every state or none; in between, sampling has begun or the lock was lost during the request.
    samples(&metrics, LAST_SUCCESS) == 1 && samples(&metrics, CONTENT_ITEMS) == 9
}

/// Number of attempts to take the samplers' locks.
async fn attempts(process: &Process) -> f64 {
    let name = "db_client_operation_duration_seconds_count";
    process.metrics().await.sum(name, &[("db_query_summary", "lock_sampler")])
}

#[tokio::test]
async fn one_of_two_replicas_exports_gauges_and_the_other_takes_over_when_it_is_killed() {
    let database = TestDatabase::create().await;
    let first = replica(&database).await;
    eventually("the first exports", async || exports(&first).await.then_some(())).await;
    let second = replica(&database).await;
    eventually("the second has looked", async || (attempts(&second).await >= 6.0).then_some(())).await;
    assert!(exports(&first).await && !exports(&second).await);
    let sampled = second.metrics().await;
    let count = "db_client_operation_duration_seconds_count";
    assert_eq!(sampled.sum(count, &[("db_query_summary", "sample_gauges")]), 0.0);

    let before = attempts(&second).await;
    first.signal(Signal::SIGKILL);
    eventually("the second exports", async || exports(&second).await.then_some(())).await;
    // At most two iterations, plus attempts of the queue and drift samplers meanwhile.
    let samples = attempts(&second).await - before;
    assert!(samples <= 4.0, "{samples} attempts until it sampled");
}

#[tokio::test]
async fn a_frozen_replica_loses_the_sampling_and_does_not_export_when_it_wakes() {
    let database = TestDatabase::create().await;
    let first = replica(&database).await;
    eventually("the first exports", async || exports(&first).await.then_some(())).await;
    let second = replica(&database).await;
    first.signal(Signal::SIGSTOP);
    eventually("the second exports", async || exports(&second).await.then_some(())).await;
    first.signal(Signal::SIGCONT);
    eventually("the first stops", async || (!exports(&first).await).then_some(())).await;
    assert!(exports(&second).await);
}

async fn gauges(database: &TestDatabase, command: &str) -> Ended {
    let launch = Launch::of(program(&["gauges", command]));
    launch.variable("SOCIALIZE_DATABASE_URL", database.url()).run().await
}

#[tokio::test]
async fn counts_are_checked_and_repaired_by_commands() {
    let database = TestDatabase::create().await;
    let ended = gauges(&database, "check").await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("Every count equals its table."), "{}", ended.stdout);

    sqlx::query(
        "insert into gauge_transitions (gauge, to_status, count) values ('feedback_reports', 'triaged', 2)",
    )
    .execute(database.pool())
    .await
    .expect("drift");
    let ended = gauges(&database, "check").await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("socialize gauges repair"), "{}", ended.stdout);
    let line = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("feedback_reports")).expect("a line");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line(&ended.stdout), ["feedback_reports", "triaged", "0", "2"]);
    let ended = gauges(&database, "repair").await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(line(&ended.stdout), ["feedback_reports", "triaged", "0", "2"]);
    assert!(ended.stdout.contains("Repaired"), "{}", ended.stdout);
    for command in ["check", "repair"] {
        let ended = gauges(&database, command).await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    }
    let ended = Launch::of(program(&["gauges", "check"])).run().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("SOCIALIZE_DATABASE_URL"), "{}", ended.stderr);
}
