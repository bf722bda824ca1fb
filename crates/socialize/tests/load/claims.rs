//! Duration of a claim with a million due jobs.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};
use test_support::{TestDatabase, claim_of_eight, insert_due_emails};

use crate::Figure;

const ROUNDS: usize = 41;
const CLAIMED: usize = 8;

/// Median duration of a claim of eight e-mails, in milliseconds.
pub(crate) async fn milliseconds_at_a_million() -> Figure {
    let database = TestDatabase::create().await;
    let mut connection = PgConnection::connect(database.url()).await.expect("a connection");
    // As in the application's pool.
    sqlx::raw_sql("set jit = off").execute(&mut connection).await.expect("set");
    enqueue(&mut connection, 1_000).await;
    let (few, few_buffers) = (median(&mut connection).await, buffers(&mut connection).await);
    enqueue(&mut connection, 999_000).await;
    let (value, many_buffers) = (median(&mut connection).await, buffers(&mut connection).await);
    let beside = format!("{few:.3} ms at 1,000 due; {many_buffers} buffers, {few_buffers} at 1,000 due");
    Figure { value, beside }
}

async fn enqueue(connection: &mut PgConnection, emails: i32) {
    insert_due_emails(connection, emails, 10).await;
    sqlx::raw_sql("analyze jobs").execute(connection).await.expect("known");
}

/// Claims and rolls back.
async fn claim(connection: &mut PgConnection, prefix: &str) -> (Duration, Vec<sqlx::postgres::PgRow>) {
    let mut transaction = connection.begin().await.expect("a transaction");
    let query = claim_of_eight(prefix);
    let since = Instant::now();
    let rows = query.fetch_all(&mut *transaction).await.expect("a claim");
    let took = since.elapsed();
    transaction.rollback().await.expect("rolled back");
    (took, rows)
}

async fn median(connection: &mut PgConnection) -> f64 {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let (took, rows) = claim(connection, "").await;
        assert_eq!(rows.len(), CLAIMED);
        times.push(took);
    }
    times.sort();
    times[ROUNDS / 2].as_secs_f64() * 1_000.0
}

async fn buffers(connection: &mut PgConnection) -> u64 {
    let (_, rows) = claim(connection, "explain (analyze, buffers, format json) ").await;
    let plan: Value = rows[0].get(0);
    let of = |name: &str| plan[0]["Plan"][name].as_u64().expect("a number");
    of("Shared Hit Blocks") + of("Shared Read Blocks")
}
