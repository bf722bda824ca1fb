//! Jobs that were given up, for the operator to look at, try again or throw away. What is in them is not shown: their payload
//! holds ids of customers, and what an operator decides by is what kind of work failed, when and of what.

mod command;

use chrono::{DateTime, Utc};
use domain::database_operation::DatabaseOperation;
use domain::ids::JobId;
use domain::labels::JobKind;
use sqlx::FromRow;
use telemetry::ClosedSet;

pub use command::{Format, discard, list, retry, show};

use crate::database::{self, Database};
use crate::queue::NOTIFY_CHANNEL;

/// A job that was given up, without its content.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct DeadLetter {
    /// The job.
    pub id: JobId,
    /// What kind of work it is; perhaps one of another version.
    pub kind: String,
    /// How often it was tried.
    pub attempts: i32,
    /// How often it was to be tried at most.
    pub max_attempts: i32,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
    /// What the last attempt failed of.
    pub error_type: Option<String>,
    /// The trace in which it was enqueued.
    pub trace_id: Option<String>,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<JobId>),
    /// All, or all of a kind.
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

/// The newest dead letters, and how many there are.
///
/// # Errors
/// When the database fails.
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

/// One dead letter.
///
/// # Errors
/// When the database fails.
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

/// Gives jobs back to the queue with all their attempts, due now, and answers for each that was chosen whether it went. One
/// whose work is enqueued anew already stays: the work would be done twice.
///
/// # Errors
/// When the database fails; then nothing has changed.
pub async fn give_back(
    database: &Database,
    selection: &Selection,
    now: DateTime<Utc>,
) -> database::Result<Vec<(JobId, bool)>> {
    let mut transaction = database.begin().await?;
    let chosen = database
        .run(
            DatabaseOperation::RetryDeadJobs,
            sqlx::query_as(
                "with chosen as materialized (
                     select id, kind, deduplication_key,
                            row_number() over (partition by kind, coalesce(deduplication_key, id::text) order by id) as place
                     from jobs
                     where status = 'dead' and ($1::uuid[] is null or id = any ($1)) and ($2::text is null or kind = $2)
                 ), given_back as (
                     update jobs set status = 'queued', attempts = 0, run_at = $3, finished_at = null
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
            .bind(now)
            .fetch_all(&mut *transaction),
        )
        .await?;
    let wake = sqlx::query("select pg_notify($1, '')").bind(NOTIFY_CHANNEL).execute(&mut *transaction);
    database.run(DatabaseOperation::RetryDeadJobs, wake).await?;
    database.commit(transaction).await?;
    Ok(chosen)
}

/// Deletes dead letters and answers which.
///
/// # Errors
/// When the database fails; then nothing has changed.
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
