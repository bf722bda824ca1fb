//! Jobs that were given up, for the operator to inspect, retry or discard. Their payload is never
//! shown, because it contains ids of customers. The kind of work, the time and the error are enough
//! to decide.

mod command;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use sqlx::FromRow;
use telemetry::ClosedSet;

pub use command::{Format, discard, list, retry, show};

use crate::platform::database::{self, Database};
use crate::queue::NOTIFY_CHANNEL;

/// A job that was given up, without its payload.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeadLetter {
    pub id: JobId,
    /// Kind of the work; another version's kind may be unknown here.
    pub kind: String,
    /// Number of attempts made.
    pub attempts: i32,
    /// Maximum number of attempts.
    pub max_attempts: i32,
    /// Time at which it was enqueued.
    pub created_at: DateTime<Utc>,
    /// Time at which it was given up.
    pub died_at: DateTime<Utc>,
    /// Error of the last attempt.
    pub error_type: Option<String>,
    /// Id of the trace in which it was enqueued.
    pub trace_id: Option<String>,
}

/// A selection of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The jobs with these ids.
    Ids(Vec<JobId>),
    /// All jobs, or all of a kind.
    All(Option<JobKind>),
}

impl Selection {
    fn ids(&self) -> Option<&[JobId]> {
        match self {
            Self::Ids(ids) => Some(ids),
            Self::All(_) => None,
        }
    }

    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Ids(_) => None,
            Self::All(kind) => kind.map(JobKind::as_str),
        }
    }
}

/// Returns the newest dead letters, and the number of all.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find_newest(
    database: &Database,
    kind: Option<JobKind>,
    limit: i64,
) -> database::Result<(Vec<DeadLetter>, i64)> {
    let kind = kind.map(JobKind::as_str);
    let mut connection = database.acquire().await?;
    let letters = database
        .run(
            DatabaseOperation::ListDeadJobs,
            sqlx::query_as(
                "select id, kind, attempts, max_attempts, created_at, finished_at as died_at,
                        last_error_type as error_type, encode(trace_id, 'hex') as trace_id
                 from jobs where status = 'dead' and ($1::text is null or kind = $1)
                 order by finished_at desc, id desc limit $2",
            )
            .bind(kind)
            .bind(limit)
            .fetch_all(&mut *connection),
        )
        .await?;
    let count = database
        .run(
            DatabaseOperation::ListDeadJobs,
            sqlx::query_scalar(
                "select count(*) from jobs where status = 'dead' and ($1::text is null or kind = $1)",
            )
            .bind(kind)
            .fetch_one(&mut *connection),
        )
        .await?;
    Ok((letters, count))
}

/// Returns one dead letter.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(database: &Database, id: JobId) -> database::Result<Option<DeadLetter>> {
    let mut connection = database.acquire().await?;
    database
        .run(
            DatabaseOperation::FindDeadJob,
            sqlx::query_as(
                "select id, kind, attempts, max_attempts, created_at, finished_at as died_at,
                        last_error_type as error_type, encode(trace_id, 'hex') as trace_id
                 from jobs where status = 'dead' and id = $1",
            )
            .bind(id)
            .fetch_optional(&mut *connection),
        )
        .await
}

/// Puts jobs back into the queue, with all attempts restored and due now. Returns for each selected
/// job whether it was put back. A job whose work has been enqueued again stays, because the work
/// would be done twice.
///
/// # Errors
/// Returns an error if the database fails; then nothing has changed.
pub async fn give_back(database: &Database, selection: &Selection) -> database::Result<Vec<(JobId, bool)>> {
    let mut transaction = database.begin().await?;
    let chosen = database
        .run(
            DatabaseOperation::RetryDeadJobs,
            sqlx::query_as(
                "with chosen as materialized (
                     select id, kind, deduplication_key,
                            row_number() over (
                                partition by kind, coalesce(deduplication_key, id::text) order by id
                            ) as place
                     from jobs
                     where status = 'dead' and ($1::uuid[] is null or id = any ($1)) and ($2::text is null or kind = $2)
                 ), given_back as (
                     update jobs set status = 'queued', attempts = 0, run_at = statement_timestamp(), finished_at = null
                     from chosen
                     where jobs.id = chosen.id and jobs.status = 'dead' and chosen.place = 1
                       and not exists (
                           select from jobs as other
                           where other.kind = chosen.kind and other.deduplication_key = chosen.deduplication_key
                             and other.status in ('queued', 'running')
                       )
                     returning jobs.id
                 )
                 select chosen.id, given_back.id is not null from chosen left join given_back using (id) order by id",
            )
            .bind(selection.ids())
            .bind(selection.kind())
            .fetch_all(&mut *transaction),
        )
        .await?;
    let wake = sqlx::query("select pg_notify($1, '')").bind(NOTIFY_CHANNEL).execute(&mut *transaction);
    database.run(DatabaseOperation::RetryDeadJobs, wake).await?;
    database.commit(transaction).await?;
    Ok(chosen)
}

/// Deletes dead letters and returns their ids.
///
/// # Errors
/// Returns an error if the database fails; then nothing has changed.
pub async fn delete(database: &Database, selection: &Selection) -> database::Result<Vec<JobId>> {
    let mut connection = database.acquire().await?;
    database
        .run(
            DatabaseOperation::DiscardDeadJobs,
            sqlx::query_scalar(
                "delete from jobs
                 where status = 'dead' and ($1::uuid[] is null or id = any ($1)) and ($2::text is null or kind = $2)
                 returning id",
            )
            .bind(selection.ids())
            .bind(selection.kind())
            .fetch_all(&mut *connection),
        )
        .await
}
