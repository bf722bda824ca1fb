//! Gives up deliveries without a job: every attempt killed its worker, or an operator discarded the job.
//! Without this their items would stay scheduled for a past time forever.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use chrono::{DateTime, TimeDelta, Utc};
use domain::approval::Action;
use domain::ids::{ContentItemId, WorkspaceId};
use domain::vocabulary::PublishFailure;
use serde::{Deserialize, Serialize};
use telemetry::ClosedSet;

use super::publication::Publication;
use crate::app::App;
use crate::features::content::LockedContentItem;
use crate::platform::database;
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Time after which an overdue item is checked. Its job must have existed before.
const OVERDUE: TimeDelta = TimeDelta::minutes(5);
/// Maximum number of items per run. Normally there are none.
const BATCH: i64 = 100;

/// Gives up abandoned deliveries periodically.
#[derive(Default, Serialize, Deserialize)]
pub struct GiveUpPublishing;

impl JobType for GiveUpPublishing {
    type State = App;

    const KIND: JobKind = JobKind::GiveUpPublishing;
    const POLICY: JobPolicy = JobPolicy::alone(Self::KIND, Duration::from_secs(60));

    async fn run(self, app: &App, _: &Job) -> Result<(), JobError> {
        run(app).await
    }
}

/// Gives up all of them.
pub async fn run(app: &App) -> Result<(), JobError> {
    let now = app.clock.now();
    let mut connection = app.database.acquire().await?;
    let abandoned: Vec<(WorkspaceId, ContentItemId, i32, DateTime<Utc>)> = app
        .database
        .run(
            DatabaseOperation::ListAbandonedDeliveries,
            sqlx::query_as(
                "select i.workspace_id, i.id, i.current_revision, i.scheduled_at
                 from content_items i
                 where i.status = 'scheduled' and i.scheduled_at <= $1 and isfinite(i.scheduled_at) and not exists (
                     select from jobs j
                     where j.kind = $2 and j.status in ('queued', 'running')
                         and j.deduplication_key = i.id || ':' || (extract(epoch from i.scheduled_at) * 1000000)::bigint
                 )
                 order by i.scheduled_at limit $3",
            )
            .bind(now - OVERDUE)
            .bind(JobKind::PublishContentItem.as_str())
            .bind(BATCH)
            .fetch_all(&mut *connection),
        )
        .await?;
    drop(connection);
    for (workspace, content_item, revision, scheduled_at) in abandoned {
        give_up(app, &Publication { workspace, content_item, revision, scheduled_at }).await?;
    }
    Ok(())
}

async fn give_up(app: &App, publication: &Publication) -> database::Result<()> {
    let now = app.clock.now();
    let Publication { workspace, content_item, .. } = *publication;
    let mut transaction = app.database.begin().await?;
    let locked = LockedContentItem::find(app, &mut transaction, workspace, content_item).await?;
    // A manager may have changed it meanwhile.
    let Some(locked) = locked.filter(|locked| publication.is_wanted(locked)) else { return Ok(()) };
    let Ok(next) = locked.state.apply(Action::PublishFailed, locked.rules, now) else { return Ok(()) };
    let failure = PublishFailure::Interrupted;
    locked.write(app, &mut transaction, &next, Some(failure), now).await?;
    app.database.commit(transaction).await?;

    app.signals.publishing_given_up(&publication.item(), failure);
    Ok(())
}
