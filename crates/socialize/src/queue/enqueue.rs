//! Enqueues jobs.

use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::ids::{ContentItemId, InviteId, JobId, WorkspaceId};
use telemetry::ClosedSet;
use uuid::Uuid;

use crate::platform::database::{self, Transaction};
use crate::queue::handle::Queue;
use crate::queue::job::JobType;

/// Channel that announces new jobs to workers.
pub(crate) const NOTIFY_CHANNEL: &str = "socialize_jobs";

/// A job to be enqueued. Its payload determines its kind.
///
/// ```
/// use socialize::features::email::Email;
/// use socialize::queue::NewJob;
///
/// fn job(email: &Email) -> NewJob<'_, Email> {
///     NewJob::of(email)
/// }
/// ```
///
/// The payload of no kind does not compile:
///
/// ```compile_fail,E0277
/// use domain::ids::UserId;
/// use socialize::queue::NewJob;
///
/// fn job(user: &UserId) -> NewJob<'_, UserId> {
///     NewJob::of(user)
/// }
/// ```
pub struct NewJob<'a, J> {
    pub payload: &'a J,
    /// Earliest start, by the database's clock; `None` means at once.
    pub run_at: Option<DateTime<Utc>>,
    pub owner: JobOwner,
    /// Maximum number of attempts.
    pub max_attempts: i32,
    /// While a job with this key waits or runs, no other is enqueued.
    pub deduplication_key: Option<String>,
}

impl<'a, J: JobType> NewJob<'a, J> {
    /// A job that starts at once and belongs to no organization.
    pub fn of(payload: &'a J) -> Self {
        let (owner, max_attempts) = (JobOwner::Nobody, J::ATTEMPTS);
        Self { payload, run_at: None, owner, max_attempts, deduplication_key: None }
    }
}

/// Reference to the organization of a job. Organizations take turns, so none delays the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOwner {
    /// No organization, or several.
    Nobody,
    /// The organization of this workspace.
    Workspace(WorkspaceId),
    /// The organization of this content item.
    ContentItem(ContentItemId),
    /// The organization of this invite.
    Invite(InviteId),
}

impl JobOwner {
    /// Its name in the statement, and its id.
    fn parameters(self) -> (Option<&'static str>, Option<Uuid>) {
        match self {
            Self::Nobody => (None, None),
            Self::Workspace(id) => (Some("workspace"), Some(id.uuid())),
            Self::ContentItem(id) => (Some("content_item"), Some(id.uuid())),
            Self::Invite(id) => (Some("invite"), Some(id.uuid())),
        }
    }
}

/// Inserts a job in the transaction that requires it, so that it exists exactly if the transaction commits,
/// and wakes workers at the commit. The run's span will link to the current span.
pub async fn enqueue<J: JobType>(
    queue: &Queue,
    transaction: &mut Transaction,
    job: NewJob<'_, J>,
) -> database::Result<()> {
    insert(queue, transaction, job, None).await
}

/// Like [`enqueue`], for a job that waits for earlier jobs in its lane. A lane represents whatever can slow
/// down jobs, such as one customer's server.
pub async fn enqueue_in_lane<J: JobType>(
    queue: &Queue,
    transaction: &mut Transaction,
    job: NewJob<'_, J>,
    lane: Uuid,
) -> database::Result<()> {
    insert(queue, transaction, job, Some(lane)).await
}

/// Enqueues a periodic job, which has no payload, unless one is waiting or running.
pub(super) async fn enqueue_periodic<J: JobType + Default>(
    queue: &Queue,
    transaction: &mut Transaction,
) -> database::Result<()> {
    let payload = J::default();
    let job = NewJob { deduplication_key: Some("periodic".to_owned()), ..NewJob::of(&payload) };
    enqueue(queue, transaction, job).await
}

async fn insert<J: JobType>(
    queue: &Queue,
    transaction: &mut Transaction,
    job: NewJob<'_, J>,
    lane: Option<Uuid>,
) -> database::Result<()> {
    let context = telemetry::current::context();
    let (owner, owner_id) = job.owner.parameters();
    queue.database
        .run(
            DatabaseOperation::EnqueueJob,
            sqlx::query(
                "with inserted as (
                     insert into jobs
                         (id, kind, payload, deduplication_key, run_at, max_attempts, trace_id, span_id, sampled,
                          created_at, lane, organization_id)
                     values ($1, $2, $3, $4, coalesce($5, $10, statement_timestamp()), $6, $7, $8, $9,
                         coalesce($10, statement_timestamp()), $12,
                         case $13
                             when 'workspace' then (select organization_id from workspaces where id = $14)
                             when 'content_item' then (
                                 select w.organization_id
                                 from content_items i join workspaces w on w.id = i.workspace_id
                                 where i.id = $14
                             )
                             when 'invite' then (
                                 select w.organization_id
                                 from workspace_invites i join workspaces w on w.id = i.workspace_id
                                 where i.id = $14
                             )
                         end)
                     on conflict (kind, deduplication_key)
                         where deduplication_key is not null and status in ('queued', 'running') do nothing
                     returning kind
                 )
                 select pg_notify($11, kind) from inserted",
            )
            .bind(JobId::from(Uuid::now_v7()))
            .bind(J::KIND.as_str())
            .bind(sqlx::types::Json(job.payload))
            .bind(job.deduplication_key)
            .bind(job.run_at)
            .bind(job.max_attempts)
            .bind(context.map(|context| context.trace_id.0.to_vec()))
            .bind(context.map(|context| context.span_id.0.to_vec()))
            .bind(context.map(|context| context.sampled))
            .bind(queue.clock.for_database())
            .bind(NOTIFY_CHANNEL)
            .bind(lane)
            .bind(owner)
            .bind(owner_id)
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}
