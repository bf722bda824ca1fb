//! The queue's statements cost the same with a large backlog as with a small one.

use catalogue::labels::JobKind;
use serde_json::Value;
use socialize::features::auth::clean_up_tokens::CleanUpTokens;
use socialize::queue::{JobError, run_due_jobs_with};
use socialize::run::workers::WorkerSettings;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, Row};
use telemetry::{ErrorType, JobOutcome};
use test_support::{TestApp, TestDatabase, claim_of_eight, insert_due_emails};

use crate::support::{enqueued, eventually, settings};

/// Plan of a claim of eight jobs, after execution. The claim is rolled back.
async fn claimed(connection: &mut PgConnection) -> Value {
    let mut transaction = connection.begin().await.expect("a transaction");
    let explained = claim_of_eight("explain (analyze, buffers, format json) ");
    let plan: Value = explained.fetch_one(&mut *transaction).await.expect("a plan").get(0);
    transaction.rollback().await.expect("rolled back");
    plan[0]["Plan"].clone()
}

fn buffers(plan: &Value) -> u64 {
    let of = |name: &str| plan[name].as_u64().expect("a number");
    of("Shared Hit Blocks") + of("Shared Read Blocks")
}

/// Plan nodes that read a whole table of jobs, or all jobs of a kind.
fn whole_reads(plan: &Value, found: &mut Vec<String>) {
    let node = plan["Node Type"].as_str().expect("a type");
    let reads_a_table = plan["Relation Name"] == "jobs" && node == "Seq Scan";
    if reads_a_table || (node == "Bitmap Index Scan" && plan["Index Name"] != "jobs_pkey") {
        found.push(node.to_owned());
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        whole_reads(part, found);
    }
}

#[tokio::test]
async fn a_claim_reads_as_much_of_a_large_backlog_as_of_a_small_one() {
    let database = TestDatabase::create().await;
    let mut connection = PgConnection::connect(database.url()).await.expect("a connection");
    insert_due_emails(&mut connection, 1_000, 100).await;
    let small = claimed(&mut connection).await;
    assert_eq!(small["Actual Rows"].as_f64(), Some(8.0));
    insert_due_emails(&mut connection, 99_000, 100).await;
    // Before and after Postgres has gathered statistics.
    for is_known in [false, true] {
        if is_known {
            sqlx::raw_sql("analyze jobs").execute(&mut connection).await.expect("known");
        }
        let large = claimed(&mut connection).await;
        assert_eq!(large["Actual Rows"].as_f64(), Some(8.0));
        let (small, most) = (buffers(&small), buffers(&large));
        assert!(most <= 2 * small, "{most} buffers with 100,000 due jobs, {small} with 1,000");
        let mut found = Vec::new();
        whole_reads(&large, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[tokio::test]
async fn no_statement_of_the_queue_reads_all_of_it() {
    const NAME: &str = "backlog";
    let test = TestApp::start().await;
    let mut connection = test.pool().acquire().await.expect("a connection");
    insert_due_emails(&mut connection, 20_000, 100).await;
    let statements = "
        insert into jobs (id, kind, payload, status, run_at, max_attempts, created_at, finished_at)
        select gen_random_uuid(), 'send_email', '{}', 'dead', now(), 5, now(), now() from generate_series(1, 20000);
        analyze jobs";
    sqlx::raw_sql(statements).execute(&mut *connection).await.expect("dead letters");
    for _ in 0..6 {
        enqueued(&test, &CleanUpTokens).await;
    }
    sqlx::query(
        "update jobs set status = 'running', lease_token = gen_random_uuid(), lease_expires_at = run_at
         where id = (select id from jobs where kind = 'clean_up_tokens' limit 1)",
    )
    .execute(&mut *connection)
    .await
    .expect("a job whose lease is over");

    // On separate connections, which report their statistics on closing.
    let options = test.pool().connect_options().as_ref().clone().application_name(NAME);
    let pool = PgPoolOptions::new().max_connections(3).connect_with(options).await.expect("a pool");
    let app = test.another_process_over(&pool);
    let scans = async |connection: &mut PgConnection| -> i64 {
        sqlx::query_scalar("select seq_scan from pg_stat_user_tables where relname = 'jobs'")
            .fetch_one(connection)
            .await
            .expect("statistics")
    };
    // Forces earlier statistics to be reported now.
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *connection).await.expect("written down");
    let before = scans(&mut connection).await;
    let several = settings(async |_, job| match job.id.uuid().as_bytes()[15] % 3 {
        0 => Ok(()),
        1 => Err(JobError::Retry(ErrorType::Unavailable)),
        _ => Err(JobError::Fail(ErrorType::Rejected)),
    });
    // No slot is free for the backlog, so it stays.
    let policy = |kind| socialize::queue::JobPolicy {
        concurrency: if kind == JobKind::SendEmail { 0 } else { 10 },
        is_shared: false,
        timeout: std::time::Duration::from_secs(3600),
        every: None,
    };
    let counts =
        run_due_jobs_with(&app, &WorkerSettings { policy, ..several }).await.expect("the queue answers");
    assert_eq!((counts.of(JobOutcome::LostLease), counts.total()), (1, 7));
    pool.close().await;
    eventually("its connections have ended", async || {
        let others: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and application_name = $1",
        )
        .bind(NAME)
        .fetch_one(&mut *connection)
        .await
        .expect("the activity of the server");
        others == 0
    })
    .await;
    assert_eq!(scans(&mut connection).await, before);
}
