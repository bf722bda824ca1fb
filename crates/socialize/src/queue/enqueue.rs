//! Leaving work behind.

use chrono::{DateTime, Utc};
use domain::database_operation::DatabaseOperation;
use domain::ids::{ContentItemId, InviteId, JobId, WorkspaceId};
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
    /// When it is to run at the earliest, by the clock of the database; nothing is at once.
    pub run_at: Option<DateTime<Utc>>,
    /// Whom it is for.
    pub owner: JobOwner,
    /// How often it is tried at most.
    pub max_attempts: i32,
    /// The same work is not enqueued again while a job with this key waits or runs.
    pub deduplication_key: Option<String>,
}

/// By what the organization is found that a job is for. Organizations take turns, so that none of them delays the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOwner {
    /// None, or several.
    Nobody,
    /// That of this workspace.
    Workspace(WorkspaceId),
    /// That of this content item.
    ContentItem(ContentItemId),
    /// That into which this invite leads.
    Invite(InviteId),
}

impl JobOwner {
    /// What the statement calls it, and its id.
    fn parameters(self) -> (Option<&'static str>, Option<Uuid>) {
        match self {
            Self::Nobody => (None, None),
            Self::Workspace(id) => (Some("workspace"), Some(id.uuid())),
            Self::ContentItem(id) => (Some("content_item"), Some(id.uuid())),
            Self::Invite(id) => (Some("invite"), Some(id.uuid())),
        }
    }
}

/// Inserts a job in the transaction that makes it necessary, so that it exists exactly if the transaction commits, and
/// wakes the workers at the commit. The current span is kept: the run's span will link to it.
pub async fn enqueue<P: Serialize>(
    app: &App,
    transaction: &mut Transaction,
    job: NewJob<'_, P>,
) -> database::Result<()> {
    insert(app, transaction, job, None).await
}

/// The same, for a job that waits for those before it in its lane. A lane is whatever can make jobs slow on its own, such as one
/// customer's server.
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
    let (owner, owner_id) = job.owner.parameters();
    app.database
        .run(
            DatabaseOperation::EnqueueJob,
            sqlx::query(
                "with inserted as (
                     insert into jobs
                         (id, kind, payload, deduplication_key, run_at, max_attempts, trace_id, span_id, sampled, created_at, lane,
                          organization_id)
                     values ($1, $2, $3, $4, coalesce($5, $10, statement_timestamp()), $6, $7, $8, $9,
                         coalesce($10, statement_timestamp()), $12,
                         case $13
                             when 'workspace' then (select organization_id from workspaces where id = $14)
                             when 'content_item' then (
                                 select w.organization_id from content_items i join workspaces w on w.id = i.workspace_id
                                 where i.id = $14
                             )
                             when 'invite' then (
                                 select w.organization_id from workspace_invites i join workspaces w on w.id = i.workspace_id
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
            .bind(job.kind.as_str())
            .bind(sqlx::types::Json(job.payload))
            .bind(job.deduplication_key)
            .bind(job.run_at)
            .bind(job.max_attempts)
            .bind(context.map(|context| context.trace_id.0.to_vec()))
            .bind(context.map(|context| context.span_id.0.to_vec()))
            .bind(context.map(|context| context.sampled))
            .bind(app.clock.for_database())
            .bind(NOTIFY_CHANNEL)
            .bind(lane)
            .bind(owner)
            .bind(owner_id)
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}
