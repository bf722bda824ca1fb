//! Leaving work behind.

use chrono::{DateTime, Utc};
use domain::database_operation::DatabaseOperation;
use domain::ids::JobId;
use domain::labels::JobKind;
use serde::Serialize;
use telemetry::ClosedSet;
use uuid::Uuid;

use crate::app::App;
use crate::database::{self, Transaction};

/// The channel on which workers hear of new jobs.
pub(crate) const NOTIFY_CHANNEL: &str = "socialize_jobs";

/// Work that is to be done later.
pub struct NewJob<'a, P> {
    /// What kind of work it is.
    pub kind: JobKind,
    /// Ids only: what they stand for is looked up when the job runs, so no customer's text lies in the queue.
    pub payload: &'a P,
    /// When it is to run at the earliest.
    pub run_at: DateTime<Utc>,
    /// How often it is tried at most.
    pub max_attempts: i32,
    /// The same work is not enqueued again while a job with this key waits or runs.
    pub deduplication_key: Option<String>,
}

/// Inserts a job in the transaction that makes it necessary, so that it exists exactly if the transaction commits, and
/// wakes the workers at the commit. The current span is kept: the run's span will link to it.
///
/// # Errors
/// When the database fails.
pub async fn enqueue<P: Serialize>(
    app: &App,
    transaction: &mut Transaction,
    job: NewJob<'_, P>,
) -> database::Result<()> {
    insert(app, transaction, job, None).await
}

/// The same, for a job that waits for those before it in its lane. A lane is whatever can make jobs slow on its own, such as one
/// customer's server.
///
/// # Errors
/// When the database fails.
pub async fn enqueue_in_lane<P: Serialize>(
    app: &App,
    transaction: &mut Transaction,
    job: NewJob<'_, P>,
    lane: Uuid,
) -> database::Result<()> {
    insert(app, transaction, job, Some(lane)).await
}

async fn insert<P: Serialize>(
    app: &App,
    transaction: &mut Transaction,
    job: NewJob<'_, P>,
    lane: Option<Uuid>,
) -> database::Result<()> {
    let context = telemetry::current::context();
    app.database
        .run(
            DatabaseOperation::EnqueueJob,
            sqlx::query(
                "with inserted as (
                     insert into jobs
                         (id, kind, payload, deduplication_key, run_at, max_attempts, trace_id, span_id, sampled, created_at, lane)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12)
                     on conflict (kind, deduplication_key)
                         where deduplication_key is not null and status in ('queued', 'running') do nothing
                     returning kind
                 )
                 select pg_notify($11, kind) from inserted",
            )
            .bind(JobId::from(Uuid::now_v7()))
            .bind(job.kind.as_str())
            .bind(sqlx::types::Json(job.payload))
            .bind(job.deduplication_key)
            .bind(job.run_at)
            .bind(job.max_attempts)
            .bind(context.map(|context| context.trace_id.0.to_vec()))
            .bind(context.map(|context| context.span_id.0.to_vec()))
            .bind(context.map(|context| context.sampled))
            .bind(app.clock.now())
            .bind(NOTIFY_CHANNEL)
            .bind(lane)
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}
