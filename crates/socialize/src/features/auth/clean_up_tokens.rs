//! Deletes expired data: links, registrations, old idempotency keys, counters of limits, networks that have
//! not been used for long, ended or expired sessions, old entries of the e-mail ledger, invites closed long
//! ago, and organizations without members.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::features::email::email_limits::LEDGER_KEPT;
use crate::platform::database;
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Maximum number of rows deleted by one statement, so that locks are held briefly.
const BATCH: i64 = 1_000;

/// Period in which a request can be repeated with its idempotency key.
const IDEMPOTENCY_KEYS_KEPT: TimeDelta = TimeDelta::hours(24);

/// Period in which refresh tokens of an ended session are recognised as such.
const ENDED_SESSIONS_KEPT: TimeDelta = TimeDelta::days(7);

/// Period after its last use in which a network of a user is known.
const KNOWN_NETWORKS_KEPT: TimeDelta = TimeDelta::days(90);

/// Period in which managers see an invite that was never accepted.
const CLOSED_INVITES_KEPT: TimeDelta = TimeDelta::days(30);

/// Organizations without members belonged to people who were erased.
const EMPTY_ORGANIZATIONS_KEPT: TimeDelta = TimeDelta::days(1);

/// Deletes expired data periodically.
#[derive(Default, Serialize, Deserialize)]
pub struct CleanUpTokens;

impl JobType for CleanUpTokens {
    type State = App;

    const KIND: JobKind = JobKind::CleanUpTokens;
    const POLICY: JobPolicy = JobPolicy::alone(Self::KIND, Duration::from_secs(300));

    async fn run(self, app: &App, _: &Job) -> Result<(), JobError> {
        run(app).await
    }
}

/// Deletes everything in batches.
pub async fn run(app: &App) -> Result<(), JobError> {
    let now = app.clock.now();
    delete_in_batches(
        app,
        "delete from email_tokens where id in (
             select id from email_tokens where expires_at <= $1 order by expires_at limit $2 for update skip locked
         )",
        now,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from pending_registrations where id in (
             select id from pending_registrations where expires_at <= $1
             order by expires_at limit $2 for update skip locked
         )",
        now,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from rate_limits where subject in (
             select subject from rate_limits where forget_at <= $1 limit $2 for update skip locked
         )",
        now,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from known_networks where (user_id, network) in (
             select user_id, network from known_networks where seen_at <= $1
             order by seen_at limit $2 for update skip locked
         )",
        now - KNOWN_NETWORKS_KEPT,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from idempotency_keys where (user_id, key) in (
             select user_id, key from idempotency_keys where created_at <= $1
             order by created_at limit $2 for update skip locked
         )",
        now - IDEMPOTENCY_KEYS_KEPT,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from sessions where id in (
             select id from sessions where expires_at <= $1 order by expires_at limit $2 for update skip locked
         )",
        now,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from sessions where id in (
             select id from sessions where ended_at <= $1 order by ended_at limit $2 for update skip locked
         )",
        now - ENDED_SESSIONS_KEPT,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from email_ledger where job_id in (
             select job_id from email_ledger where created_at <= $1 order by created_at limit $2 for update skip locked
         )",
        now - LEDGER_KEPT,
    )
    .await?;
    // Their addresses may belong to people without any relation to Socialize.
    delete_in_batches(
        app,
        "delete from workspace_invites where id in (
             select id from workspace_invites where status in ('revoked', 'expired') and closed_at <= $1
             order by closed_at limit $2 for update skip locked
         )",
        now - CLOSED_INVITES_KEPT,
    )
    .await?;
    delete_in_batches(
        app,
        "delete from organizations where id in (
             select id from organizations o
             where created_at <= $1 and not exists (select from organization_members m where m.organization_id = o.id)
             limit $2 for update skip locked
         )",
        now - EMPTY_ORGANIZATIONS_KEPT,
    )
    .await?;
    Ok(())
}

/// Repeats a statement that deletes rows older than `$1`, at most `$2` at a time, until none is left.
async fn delete_in_batches(
    app: &App,
    statement: &'static str,
    older_than: DateTime<Utc>,
) -> database::Result<()> {
    loop {
        let mut connection = app.database.acquire().await?;
        let deleted = app
            .database
            .run(
                DatabaseOperation::CleanUpExpired,
                sqlx::query(statement).bind(older_than).bind(BATCH).execute(&mut *connection),
            )
            .await?;
        if deleted.rows_affected() < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}
