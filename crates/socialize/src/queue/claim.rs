//! Taking jobs: what is due, and what somebody else did not finish in time.

use std::time::Duration;

use chrono::TimeDelta;
use domain::database_operation::DatabaseOperation;
use domain::ids::JobId;
use domain::labels::JobKind;
use domain::vocabulary::{JobStatus, parse};
use sqlx::Row;
use sqlx::postgres::PgRow;
use telemetry::{ClosedSet, ErrorType, JobOutcome, SpanContext, SpanId, TraceId};
use uuid::Uuid;

use super::job::Job;
use super::run::describe;
use crate::app::App;
use crate::database;

/// How many expired leases one turn deals with; more than any crash leaves behind.
const RECOVERED_AT_ONCE: i64 = 1_000;

/// Claims what is due, at most as many of each kind as said, in one statement for all kinds. Of each lane only the first job is
/// claimed, and none of a lane that is busy: so one lane never takes the room of the others, however much waits in it.
///
/// The attempt is counted here and not at its end, so that a job that kills its process uses its attempts up. Rows that
/// another worker is claiming at this moment are passed over.
pub(super) async fn claim(
    app: &App,
    free: &[(JobKind, usize)],
    busy_lanes: &[Uuid],
    lease: Duration,
) -> database::Result<Vec<Job>> {
    let kinds: Vec<&str> = free.iter().map(|(kind, _)| kind.as_str()).collect();
    let limits: Vec<i64> = free.iter().map(|(_, limit)| i64::try_from(*limit).unwrap_or(i64::MAX)).collect();
    let now = app.clock.now();
    let lease_token = Uuid::new_v4();
    let mut connection = app.database.acquire().await?;
    let rows = app
        .database
        .run(
            DatabaseOperation::ClaimJobs,
            sqlx::query(
                "with due as materialized (
                     select due.id
                     from unnest($1::text[], $2::bigint[]) as wanted (kind, free)
                     cross join lateral (
                         select id from jobs
                         where jobs.kind = wanted.kind and status = 'queued' and run_at <= $3
                             and (lane is null or (lane <> all ($6) and not exists (
                                 select from jobs as earlier
                                 where earlier.lane = jobs.lane and earlier.status = 'queued'
                                     and (earlier.run_at, earlier.id) < (jobs.run_at, jobs.id)
                             )))
                         order by run_at, id limit wanted.free for update skip locked
                     ) as due
                 )
                 update jobs
                 set status = 'running', attempts = attempts + 1, lease_token = $4, lease_expires_at = $5
                 from due where jobs.id = due.id
                 returning jobs.id, kind, payload, attempts, max_attempts, priority, run_at, lane, trace_id, span_id, sampled",
            )
            .bind(kinds)
            .bind(limits)
            .bind(now)
            .bind(lease_token)
            .bind(now + TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX))
            .bind(busy_lanes)
            .fetch_all(&mut *connection),
        )
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let order: (i16, chrono::DateTime<chrono::Utc>) = (row.try_get("priority")?, row.try_get("run_at")?);
        // Only kinds that were asked for come back.
        let Ok(kind) = parse(row.try_get("kind")?) else { continue };
        let job = Job {
            id: row.try_get("id")?,
            kind,
            attempt: row.try_get("attempts")?,
            max_attempts: row.try_get("max_attempts")?,
            lane: row.try_get("lane")?,
            payload: row.try_get("payload")?,
            lease_token,
            cause: cause(&row)?,
        };
        claimed.push((order, job));
    }
    claimed.sort_by_key(|(order, _)| *order);
    Ok(claimed.into_iter().map(|(_, job)| job).collect())
}

/// Gives jobs whose lease ran out back to the queue, and buries those that have no attempt left. Whoever held the lease is
/// dead, frozen or cut off, so it is reported here; a worker that was only frozen reports it once more when it wakes.
pub(super) async fn recover_expired(app: &App) -> database::Result<Vec<JobOutcome>> {
    let kinds: Vec<&str> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let mut connection = app.database.acquire().await?;
    let rows = app
        .database
        .run(
            DatabaseOperation::RecoverExpiredJobs,
            sqlx::query(
                "with expired as materialized (
                     select id, attempts >= max_attempts as is_spent from jobs
                     where status = 'running' and lease_expires_at <= $1 and kind = any ($2)
                     order by lease_expires_at limit $3 for update skip locked
                 )
                 update jobs
                 set status = case when is_spent then 'dead' else 'queued' end,
                     finished_at = case when is_spent then $1 end,
                     lease_token = null, lease_expires_at = null, last_error_type = $4
                 from expired where jobs.id = expired.id
                 returning jobs.id, kind, attempts, status, trace_id, span_id, sampled",
            )
            .bind(app.clock.now())
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
        app.jobs.runs.run(kind, cause(&row)?, |attributes| describe(attributes, id, attempt), ended).await;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// The span that enqueued the job, if it was enqueued within one.
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
