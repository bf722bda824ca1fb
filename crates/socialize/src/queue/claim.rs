//! Claims due jobs, and recovers jobs with an expired lease.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use domain::ids::JobId;
use domain::vocabulary::{JobStatus, parse};
use sqlx::Row;
use sqlx::postgres::PgRow;
use telemetry::{ClosedSet, ErrorType, JobOutcome, SpanContext, SpanId, TraceId};
use uuid::Uuid;

use crate::platform::database;
use crate::queue::handle::Queue;
use crate::queue::job::{Job, describe};
use crate::queue::room::{Claimed, Vacancies};

/// Maximum number of expired leases recovered per iteration; more than any crash leaves behind.
const RECOVERED_AT_ONCE: i64 = 1_000;

/// Claims jobs that are due by the database's clock, at most as many of each kind as there are free slots, in
/// one statement for all kinds.
///
/// Organizations take turns, so those with many jobs do not delay others; see [`Room`](crate::queue::room::Room) for
/// their shares. Only the first job of each lane is claimed, and none of a busy lane: so a lane never takes
/// the slots of others, however long it is.
///
/// The attempt is counted here and not at its end, so that a job that crashes its process uses up its
/// attempts. Rows that another worker is claiming are skipped.
pub(super) async fn claim(
    queue: &Queue,
    vacancies: &Vacancies,
    lease: Duration,
) -> database::Result<Claimed> {
    let Vacancies { free, shares, running } = vacancies;
    let lease_token = Uuid::new_v4();
    let mut connection = queue.database.acquire().await?;
    let rows = queue
        .database
        .run(
            DatabaseOperation::ClaimJobs,
            sqlx::query(include_str!("claim.sql"))
                .bind(column(free, |(kind, _)| kind.as_str()))
                .bind(column(free, |(_, free)| count(*free)))
                .bind(queue.clock.for_database())
                .bind(lease_token)
                .bind(lease.as_secs_f64())
                .bind(column(shares, |share| share.kind.as_str()))
                .bind(column(shares, |share| share.standing as i16))
                .bind(column(shares, |share| count(share.most)))
                .bind(column(shares, |share| count(share.most_of_one)))
                .bind(column(running, |running| running.kind.as_str()))
                .bind(column(running, |running| running.organization_id))
                .bind(column(running, |running| running.lane))
                .bind(column(running, |running| running.standing))
                .fetch_all(&mut *connection),
        )
        .await?;
    let mut claimed = Claimed { jobs: Vec::with_capacity(rows.len()), crowded: Vec::new() };
    for row in rows {
        // Only requested kinds are returned.
        let Ok(kind) = parse(row.try_get("kind")?) else { continue };
        if row.try_get("is_crowded")? {
            claimed.crowded.push(kind);
        }
        claimed.jobs.push(Job {
            id: row.try_get("id")?,
            kind,
            attempt: row.try_get("attempts")?,
            max_attempts: row.try_get("max_attempts")?,
            lane: row.try_get("lane")?,
            organization_id: row.try_get("organization_id")?,
            standing: row.try_get("standing")?,
            // An unreadable payload fails in its own run. Failing here would lose the other jobs with it.
            payload: row.try_get("payload").ok(),
            lease_token,
            cause: cause(&row)?,
        });
    }
    Ok(claimed)
}

/// One column of a table-valued parameter.
fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns jobs with an expired lease to the queue, and gives up those without attempts left. Reported here
/// because the lease's holder is dead, frozen or cut off; a worker that was only frozen reports it once more
/// on waking.
pub(super) async fn recover_expired(queue: &Queue) -> database::Result<Vec<JobOutcome>> {
    let kinds: Vec<&str> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let mut connection = queue.database.acquire().await?;
    let rows = queue
        .database
        .run(
            DatabaseOperation::RecoverExpiredJobs,
            sqlx::query(
                "with expired as materialized (
                     select id from jobs
                     where status = 'running' and lease_expires_at <= coalesce($1, statement_timestamp())
                         and kind = any ($2)
                     order by lease_expires_at limit $3 for update skip locked
                 )
                 update jobs
                 set status = case when attempts >= max_attempts then 'dead' else 'queued' end,
                     finished_at = case when attempts >= max_attempts then coalesce($1, statement_timestamp()) end,
                     lease_token = null, lease_expires_at = null, last_error_type = $4
                 where id = any (array (select id from expired))
                 returning id, kind, attempts, status, trace_id, span_id, sampled",
            )
            .bind(queue.clock.for_database())
            .bind(kinds)
            .bind(RECOVERED_AT_ONCE)
            .bind(ErrorType::LostLease.as_str())
            .fetch_all(&mut *connection),
        )
        .await?;
    drop(connection);
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let Ok(kind) = parse::<JobKind>(row.try_get("kind")?) else { continue };
        let (id, attempt): (JobId, i32) = (row.try_get("id")?, row.try_get("attempts")?);
        let outcome = match row.try_get("status")? {
            JobStatus::Dead => JobOutcome::Dead,
            _ => JobOutcome::LostLease,
        };
        let ended = async { ((), outcome, Some(ErrorType::LostLease)) };
        queue
            .signals
            .runs
            .run(kind, cause(&row)?, |attributes| describe(attributes, id, attempt), ended)
            .await;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Returns the span that enqueued the job, if any.
fn cause(row: &PgRow) -> sqlx::Result<Option<SpanContext>> {
    let trace_id: Option<Vec<u8>> = row.try_get("trace_id")?;
    let span_id: Option<Vec<u8>> = row.try_get("span_id")?;
    let sampled: Option<bool> = row.try_get("sampled")?;
    let trace_id = trace_id.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let span_id = span_id.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    Ok(trace_id.zip(span_id).zip(sampled).map(|((trace_id, span_id), sampled)| SpanContext {
        trace_id: TraceId(trace_id),
        span_id: SpanId(span_id),
        sampled,
    }))
}
