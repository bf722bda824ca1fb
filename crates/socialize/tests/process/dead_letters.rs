//! `socialize dead-letters`: lists jobs that were given up without their content, and retries or discards
//! them.

use domain::ids::JobId;
use serde_json::{Value, json};
use test_support::TestDatabase;
use test_support::process::{Ended, Launch, eventually, program};
use uuid::Uuid;

/// Part of every payload here, and of nothing else.
const CONTENT: &str = "of-a-customer";

async fn dead_letters(database: &TestDatabase, arguments: &[&str]) -> Ended {
    let launch = Launch::of(program(&["dead-letters"])).arguments(arguments);
    launch.variable("SOCIALIZE_DATABASE_URL", database.url()).run().await
}

async fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let ended = dead_letters(database, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// A job that was given up this many minutes ago.
async fn dead(database: &TestDatabase, kind: &str, minutes: i32, deduplication_key: Option<&str>) -> JobId {
    let id = JobId::from(Uuid::now_v7());
    sqlx::query(
        "insert into jobs
             (id, kind, payload, deduplication_key, status, run_at, attempts, max_attempts, trace_id, span_id,
              sampled, created_at, finished_at, last_error_type)
         values ($1, $2, jsonb_build_object('token', $3), $4, 'dead', now(), 12, 12,
             '\\x0102030405060708090a0b0c0d0e0f10', '\\x0102030405060708', true, '2026-11-23T08:00:00Z',
             '2026-11-23T09:00:00Z'::timestamptz - $5 * interval '1 minute', 'connection_refused')",
    )
    .bind(id)
    .bind(kind)
    .bind(CONTENT)
    .bind(deduplication_key)
    .bind(minutes)
    .execute(database.pool())
    .await
    .expect("a dead job");
    id
}

async fn status(database: &TestDatabase, id: JobId) -> Option<(String, i32)> {
    let status = sqlx::query_as("select status, attempts from jobs where id = $1").bind(id);
    status.fetch_optional(database.pool()).await.expect("the queue")
}

#[tokio::test]
async fn the_newest_are_listed_without_their_content() {
    let database = TestDatabase::create().await;
    let ended = dead_letters(&database, &["list"]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(0), "There are no dead letters."));
    assert_eq!(json_of(&database, &["list"]).await, json!({"count": 0, "dead_letters": []}));

    let older = dead(&database, "send_email", 5, None).await;
    let newer = dead(&database, "expire_invites", 0, None).await;
    let of_tomorrow = dead(&database, "of_tomorrow", 9, None).await;
    let ended = dead_letters(&database, &["list", "--limit", "2"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let lines: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let (created, error) = ("2026-11-23T08:00:00Z", "connection_refused");
    let (older_text, newer_text) = (older.to_string(), newer.to_string());
    let row = |id, kind, died| vec![id, kind, "12/12", created, died, error];
    assert_eq!(lines[1], row(newer_text.as_str(), "expire_invites", "2026-11-23T09:00:00Z"));
    assert_eq!(lines[2], row(older_text.as_str(), "send_email", "2026-11-23T08:55:00Z"));
    assert!(ended.stdout.ends_with("The newest 2 of 3."), "{}", ended.stdout);

    let listed = json_of(&database, &["list", "--kind", "send_email"]).await;
    let letter = json!({
        "id": older, "kind": "send_email", "attempts": 12, "max_attempts": 12, "created_at": created,
        "died_at": "2026-11-23T08:55:00Z", "error_type": error, "trace_id": "0102030405060708090a0b0c0d0e0f10",
    });
    assert_eq!(listed, json!({"count": 1, "dead_letters": [letter]}));
    assert_eq!(json_of(&database, &["show", &older_text]).await, letter);
    let shown = dead_letters(&database, &["show", &of_tomorrow.to_string()]).await;
    for part in ["of_tomorrow", "12 of 12", "0102030405060708090a0b0c0d0e0f10", error] {
        assert!(shown.stdout.contains(part), "{part} in {}", shown.stdout);
    }
    for text in [ended.stdout, listed.to_string(), shown.stdout] {
        assert!(!text.contains(CONTENT), "{text}");
    }
}

#[tokio::test]
async fn a_letter_that_is_retried_is_worked_on_again() {
    let database = TestDatabase::create().await;
    let id = dead(&database, "expire_invites", 0, None).await;
    // Periodic jobs have no payload.
    let emptied = sqlx::query("update jobs set payload = 'null'").execute(database.pool());
    emptied.await.expect("no payload");
    let process = Launch::role("work", database.url()).start().await;
    let ended = dead_letters(&database, &["retry", &id.to_string()]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("Given back to the queue: 1."), "{}", ended.stdout);
    eventually("the job is done", async || status(&database, id).await.is_none().then_some(())).await;
    let line = process.line("its run", |line| line["event"] == "job.run").await;
    assert_eq!((&line["job.id"], &line["outcome"]), (&json!(id), &json!("ok")));
    assert_eq!(line["job.attempt"], 1, "it has all its attempts again");
}

#[tokio::test]
async fn letters_are_retried_by_kind_and_none_whose_work_waits_already() {
    let database = TestDatabase::create().await;
    let periodic = |minutes| dead(&database, "clean_up_tokens", minutes, Some("periodic"));
    let (first, second) = (periodic(2).await, periodic(1).await);
    let email = dead(&database, "send_email", 0, None).await;
    let retried = json_of(&database, &["retry", "--all", "--kind", "clean_up_tokens"]).await;
    assert_eq!(retried, json!({"retried": [first], "superseded": [second], "unknown": []}));
    assert_eq!(status(&database, first).await, Some(("queued".to_owned(), 0)));
    assert_eq!(status(&database, second).await, Some(("dead".to_owned(), 12)));

    // Named by its id it is reported as a failure; the others are retried.
    let ended = dead_letters(&database, &["retry", &second.to_string(), &email.to_string()]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("the same work waits or runs already"), "{}", ended.stdout);
    assert_eq!(status(&database, email).await, Some(("queued".to_owned(), 0)));
    let ended = dead_letters(&database, &["discard", "--all"]).await;
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(0), "Discarded: 1."));
    assert_eq!(status(&database, second).await, None);
    assert!(status(&database, first).await.is_some(), "what is not dead is not touched");
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let database = TestDatabase::create().await;
    let missing = "018f3f5e-7c1a-7b3a-9d2e-0123456789ab";
    let id = dead(&database, "send_email", 0, None).await.to_string();
    for (arguments, code, expected) in [
        (&["show", missing][..], 1, "no dead letter has the id 018f3f5e"),
        (&["retry", missing], 1, "018f3f5e-7c1a-7b3a-9d2e-0123456789ab is no dead letter."),
        (&["discard", missing, &id], 1, "018f3f5e-7c1a-7b3a-9d2e-0123456789ab is no dead letter."),
        (&["show", "42"], 2, "expected a UUID such as"),
        (&["retry"], 2, "<ID>..."),
        (&["discard", &id, "--all"], 2, "cannot be used with"),
        (&["retry", &id, "--kind", "send_email"], 2, "cannot be used with"),
        (&["list", "--kind", "send_emails"], 2, "possible values: send_email"),
        (&["list", "--limit", "0"], 2, "--limit"),
    ] {
        let ended = dead_letters(&database, arguments).await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let left: i64 =
        sqlx::query_scalar("select count(*) from jobs").fetch_one(database.pool()).await.expect("the queue");
    assert_eq!(left, 0, "the one that was there was discarded");

    let unreachable = "postgres://socialize:hunter2@127.0.0.1:1/socialize";
    let ended = Launch::of(program(&["dead-letters", "list"]))
        .variable("SOCIALIZE_DATABASE_URL", unreachable)
        .variable("SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT", "200ms")
        .run()
        .await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert!(ended.stderr.contains("the database failed: "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}
