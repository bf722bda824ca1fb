//! The statement that claims jobs, with the parameters of a worker that runs nothing.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};
use uuid::Uuid;

/// The statement that the worker sends.
const CLAIM: &str = include_str!("../../socialize/src/queue/claim.sql");

/// Returns the statement that claims eight e-mails, and posts for 32 slots. `prefix` precedes it, such as
/// `explain`.
pub fn claim_of_eight(prefix: &str) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(format!("{prefix}{CLAIM}")))
        .bind(vec!["send_email", "publish_content_item"])
        .bind(vec![8_i64, 32])
        .bind(None::<DateTime<Utc>>)
        .bind(Uuid::new_v4())
        .bind(60.0)
        .bind(vec!["publish_content_item"; 3])
        .bind(vec![0_i16, 1, 2])
        .bind(vec![32_i64, 16, 8])
        .bind(vec![8_i64, 2, 1])
        .bind(Vec::<String>::new())
        .bind(Vec::<Option<Uuid>>::new())
        .bind(Vec::<Option<Uuid>>::new())
        .bind(Vec::<i16>::new())
}

/// Enqueues due e-mails of this many organizations.
pub async fn insert_due_emails(connection: &mut PgConnection, emails: i32, organizations: i32) {
    sqlx::query(
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at, organization_id)
         select gen_random_uuid(), 'send_email', '{}', now() - interval '1 hour', 5, now(),
             md5((number % $2)::text)::uuid
         from generate_series(1, $1) as number",
    )
    .bind(emails)
    .bind(organizations)
    .execute(connection)
    .await
    .expect("e-mails");
}
