//! A database that is not migrated, or was migrated by a newer version: readiness, and messages to the
//! operator.

use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, Process, eventually};

use crate::doctor::finding;

/// Schema state on the operations listener.
async fn schema(process: &Process) -> Value {
    process.operations_get("/health").await.body["schema"].clone()
}

/// Standard error has cause and remedy in the words of `doctor`.
#[track_caller]
fn assert_explained(process: &Process, found: &Value) {
    let part = |name: &str| found[name].as_str().unwrap_or_else(|| panic!("{found}"));
    let sentence = format!("migrations: {}: {}", part("detail"), part("remedy"));
    assert!(process.standard_error().contains(&sentence), "{}", process.standard_error());
}

async fn wait_until_ready(process: &Process, status: u16) {
    eventually("the verdict", async || (process.ready().await == status).then_some(())).await;
    assert_eq!(process.operations_get("/health/ready").await.status.as_u16(), status);
}

async fn pretend_newer(database: &TestDatabase) {
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'of the next version', true, '', 0)";
    sqlx::query(newer).execute(database.pool()).await.expect("a migration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_migrated_is_named_until_it_is() {
    let database = TestDatabase::create_empty().await;
    let mut process = Launch::serve(database.url()).without_worker().start().await;
    let seen = eventually("the schema is looked at", async || {
        Some(schema(&process).await).filter(|schema| schema["verdict"] == "failed")
    })
    .await;
    assert_eq!(process.ready().await, 503);
    assert_eq!(process.operations_get("/health/ready").await.status, 503);
    let found = finding(database.url(), "migrations").await;
    assert_eq!((&seen["detail"], &seen["remedy"]), (&found["detail"], &found["remedy"]), "one wording");
    assert!(seen["remedy"].as_str().is_some_and(|remedy| remedy.contains("socialize migrate")), "{seen}");
    let line = process.line("the warning", |line| line["event"] == "database.schema_refused").await;
    assert_eq!(line["level"], "warn");
    assert_explained(&process, &found);

    let migrated = Launch::role("migrate", database.url()).run().await;
    assert_eq!(migrated.status.code(), Some(0), "{}", migrated.stderr);
    wait_until_ready(&process, 200).await;
    assert_eq!(schema(&process).await["verdict"], "ok");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_named_at_start_and_leaves_a_running_process_ready() {
    let database = TestDatabase::create().await;
    let mut running = Launch::serve(database.url()).without_worker().start_ready().await;
    pretend_newer(&database).await;

    let mut started = Launch::serve(database.url()).without_worker().start().await;
    let seen = eventually("the schema is looked at", async || {
        Some(schema(&started).await).filter(|schema| schema["verdict"] == "failed")
    })
    .await;
    assert_eq!(started.ready().await, 503);
    assert!(seen["detail"].as_str().is_some_and(|detail| detail.contains("9999")), "{seen}");
    let found = finding(database.url(), "migrations").await;
    assert_eq!((&seen["detail"], &seen["remedy"]), (&found["detail"], &found["remedy"]), "one wording");
    assert_explained(&started, &found);

    // An upgrade migrates while the old version still serves, and then replaces its processes one after the
    // other.
    let seen = eventually("the schema is looked at", async || {
        Some(schema(&running).await).filter(|schema| schema["verdict"] == "warning")
    })
    .await;
    assert!(seen["detail"].as_str().is_some_and(|detail| detail.contains("9999")), "{seen}");
    assert_eq!(running.ready().await, 200);
    running.stop().await;
    started.stop().await;
}
