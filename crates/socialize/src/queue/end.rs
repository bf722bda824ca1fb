//! Ends a run. Every statement here checks the lease's token and returns whether this worker still held the
//! job.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use telemetry::{ClosedSet, ErrorType};

use crate::platform::database;
use crate::queue::enqueue::NOTIFY_CHANNEL;
use crate::queue::handle::Queue;
use crate::queue::job::Job;

/// End of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Done; the job is deleted.
    Finished,
    /// Retried after this delay.
    Retried(Duration, ErrorType),
    /// Given up, and kept for the operator.
    Buried(ErrorType),
    /// Returned to the queue as if it had not been claimed, because the process stops.
    HandedBack,
}

impl End {
    /// Writes the end to the database; returns `false` if another worker has taken over the job.
    pub(super) async fn write(self, queue: &Queue, job: &Job) -> database::Result<bool> {
        match self {
            Self::Finished => finish(queue, job).await,
            Self::Retried(wait, error_type) => retry(queue, job, wait, error_type).await,
            Self::Buried(error_type) => bury(queue, job, error_type).await,
            Self::HandedBack => hand_back(queue, job).await,
        }
    }
}

pub(super) async fn extend_lease(queue: &Queue, job: &Job, lease: Duration) -> database::Result<bool> {
    let mut connection = queue.database.acquire().await?;
    let extended = queue
        .database
        .run(
            DatabaseOperation::ExtendJobLease,
            sqlx::query(
                "update jobs
                 set lease_expires_at = coalesce($3, statement_timestamp()) + make_interval(secs => $4)
                 where id = $1 and lease_token = $2",
            )
            .bind(job.id)
            .bind(job.lease_token)
            .bind(queue.clock.for_database())
            .bind(lease.as_secs_f64())
            .execute(&mut *connection),
        )
        .await?;
    Ok(extended.rows_affected() == 1)
}

async fn finish(queue: &Queue, job: &Job) -> database::Result<bool> {
    let mut connection = queue.database.acquire().await?;
    let finished = queue
        .database
        .run(
            DatabaseOperation::FinishJob,
            sqlx::query("delete from jobs where id = $1 and lease_token = $2")
                .bind(job.id)
                .bind(job.lease_token)
                .execute(&mut *connection),
        )
        .await?;
    Ok(finished.rows_affected() == 1)
}

async fn retry(queue: &Queue, job: &Job, wait: Duration, error_type: ErrorType) -> database::Result<bool> {
    let mut connection = queue.database.acquire().await?;
    let retried = queue
        .database
        .run(
            DatabaseOperation::RetryJob,
            sqlx::query(
                "update jobs
                 set status = 'queued', run_at = coalesce($3, statement_timestamp()) + make_interval(secs => $4),
                     lease_token = null, lease_expires_at = null, last_error_type = $5
                 where id = $1 and lease_token = $2",
            )
            .bind(job.id)
            .bind(job.lease_token)
            .bind(queue.clock.for_database())
            .bind(wait.as_secs_f64())
            .bind(error_type.as_str())
            .execute(&mut *connection),
        )
        .await?;
    Ok(retried.rows_affected() == 1)
}

async fn bury(queue: &Queue, job: &Job, error_type: ErrorType) -> database::Result<bool> {
    let mut connection = queue.database.acquire().await?;
    let buried = queue
        .database
        .run(
            DatabaseOperation::BuryJob,
            sqlx::query(
                "update jobs
                 set status = 'dead', finished_at = coalesce($3, statement_timestamp()),
                     lease_token = null, lease_expires_at = null, last_error_type = $4
                 where id = $1 and lease_token = $2",
            )
            .bind(job.id)
            .bind(job.lease_token)
            .bind(queue.clock.for_database())
            .bind(error_type.as_str())
            .execute(&mut *connection),
        )
        .await?;
    Ok(buried.rows_affected() == 1)
}

/// Does not count the attempt, because the job did not fail. Notifies other workers at once.
async fn hand_back(queue: &Queue, job: &Job) -> database::Result<bool> {
    let mut connection = queue.database.acquire().await?;
    let handed_back = queue
        .database
        .run(
            DatabaseOperation::HandBackJob,
            sqlx::query(
                "with handed_back as (
                     update jobs
                     set status = 'queued', attempts = attempts - 1, lease_token = null, lease_expires_at = null
                     where id = $1 and lease_token = $2
                     returning kind
                 )
                 select pg_notify($3, kind) from handed_back",
            )
            .bind(job.id)
            .bind(job.lease_token)
            .bind(NOTIFY_CHANNEL)
            .fetch_optional(&mut *connection),
        )
        .await?;
    Ok(handed_back.is_some())
}
