//! Reminds reviewers by e-mail of stale content items, once a day and item until they have decided.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use chrono::TimeDelta;
use domain::ids::{ContentItemId, UserId};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::features::email::Email;
use crate::platform::database;
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Maximum number of e-mails enqueued in one transaction.
const BATCH: i64 = 200;

/// Minimum time between two reminders to a reviewer about an item.
const NOT_AGAIN_WITHIN: TimeDelta = TimeDelta::hours(24);

/// Reminds reviewers periodically.
#[derive(Default, Serialize, Deserialize)]
pub struct RemindStaleApprovals;

impl JobType for RemindStaleApprovals {
    type State = App;

    const KIND: JobKind = JobKind::RemindStaleApprovals;
    const POLICY: JobPolicy = JobPolicy::alone(Self::KIND, Duration::from_secs(300));

    async fn run(self, app: &App, _: &Job) -> Result<(), JobError> {
        Ok(run(app).await.map(drop)?)
    }
}

/// Enqueues the reminders that are due, and returns their number.
///
/// # Errors
/// Returns an error if the database fails; reminders enqueued so far stay enqueued.
pub async fn run(app: &App) -> database::Result<usize> {
    let now = app.clock.now();
    let stale_after = TimeDelta::from_std(app.settings.approval_stale_after).unwrap_or(TimeDelta::MAX);
    let mut reminded = 0;
    loop {
        let mut transaction = app.database.begin().await?;
        // The statement that finds reviewers also records the reminder, in the transaction that enqueues the
        // e-mails.
        let due: Vec<(ContentItemId, i32, UserId)> = app
            .database
            .run(
                DatabaseOperation::RemindStaleApprovals,
                sqlx::query_as(
                    "insert into approval_reminders (content_item_id, revision_number, reviewer_id, reminded_at)
                     select i.id, i.current_revision, m.user_id, $1
                     from content_items i
                     join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                     join workspaces w on w.id = i.workspace_id
                     join workspace_members m on m.workspace_id = w.id and m.role in ('manager', 'reviewer')
                     where i.status = 'in_approval' and i.status_entered_at < $2
                       and (w.allow_self_approval or m.user_id <> r.author_id)
                       and not exists (
                           select from approval_decisions d
                           where d.content_item_id = i.id and d.revision_number = i.current_revision
                             and d.reviewer_id = m.user_id
                       )
                       and not exists (
                           select from approval_reminders before
                           where before.content_item_id = i.id and before.reviewer_id = m.user_id
                             and before.reminded_at > $3
                       )
                     order by i.status_entered_at, i.id, m.user_id limit $4
                     on conflict (content_item_id, reviewer_id) do update
                         set revision_number = excluded.revision_number, reminded_at = excluded.reminded_at
                         where approval_reminders.reminded_at <= $3
                     returning content_item_id, revision_number, reviewer_id",
                )
                .bind(now)
                .bind(now - stale_after)
                .bind(now - NOT_AGAIN_WITHIN)
                .bind(BATCH)
                .fetch_all(&mut *transaction),
            )
            .await?;
        for (content_item, revision, reviewer) in &due {
            let (content_item, revision, reviewer) = (*content_item, *revision, *reviewer);
            let email = Email::ApprovalReminder { content_item, revision, reviewer };
            email.enqueue(app, &mut transaction).await?;
        }
        app.database.commit(transaction).await?;
        reminded += due.len();
        if due.len() < BATCH as usize {
            return Ok(reminded);
        }
    }
}
