//! A content item locked from reading to writing, so that nobody else changes it meanwhile.

use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use chrono::{DateTime, Utc};
use domain::approval::{Action, ApprovalRules, ApprovalState, RecordedDecision, RequiredApprovals};
use domain::ids::{ContentItemId, UserId, WorkspaceId};
use domain::vocabulary::{ContentItemStatus, Decision, PublishFailure};

use super::item::ContentItem;
use crate::app::App;
use crate::features::workspaces::activity::touch_workspace;
use crate::http::error::Error;
use crate::platform::database::{self, Transaction};

/// An item whose row is locked until the transaction ends.
pub(crate) struct LockedContentItem {
    /// The item as read.
    pub(crate) item: ContentItem,
    /// Its state in the state machine.
    pub(crate) state: ApprovalState,
    /// The workspace's rules of approval.
    pub(crate) rules: ApprovalRules,
    publishing_started_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Found {
    #[sqlx(flatten)]
    item: ContentItem,
    publishing_started_at: Option<DateTime<Utc>>,
    #[sqlx(try_from = "i32")]
    required_approvals: RequiredApprovals,
    allow_self_approval: bool,
}

impl LockedContentItem {
    /// Locks the item of a request and reads it.
    ///
    /// # Errors
    /// Returns an error if the workspace has no such item, or the database fails.
    pub(crate) async fn lock(
        app: &App,
        transaction: &mut Transaction,
        workspace_id: WorkspaceId,
        content_item_id: ContentItemId,
    ) -> Result<Self, Error> {
        let locked = Self::find(app, transaction, workspace_id, content_item_id).await?;
        locked.ok_or_else(|| Error::not_found("content item"))
    }

    /// Locks the item and reads it, if the workspace has it.
    ///
    /// The lock is a separate first statement: one that waits for a lock and joins other tables would see
    /// those as they were before the wait, and miss the revision that the lock's previous holder has written.
    pub(crate) async fn find(
        app: &App,
        transaction: &mut Transaction,
        workspace_id: WorkspaceId,
        content_item_id: ContentItemId,
    ) -> database::Result<Option<Self>> {
        let locked = app
            .database
            .run(
                DatabaseOperation::LockContentItem,
                sqlx::query("select from content_items where id = $1 and workspace_id = $2 for update")
                    .bind(content_item_id)
                    .bind(workspace_id)
                    .fetch_optional(&mut **transaction),
            )
            .await?;
        if locked.is_none() {
            return Ok(None);
        }
        telemetry::current::set(|attributes| attributes.id(&keys::CONTENT_ITEM_ID, content_item_id));

        let found: Found = app
            .database
            .run(
                DatabaseOperation::FindContentItem,
                sqlx::query_as(
                    "select i.id, i.workspace_id, i.channel, i.status, i.current_revision as revision, r.title, r.body,
                         i.created_by as author_id, r.author_id as revision_author_id, i.scheduled_at, i.published_at,
                         i.publish_failure, i.created_at, i.updated_at, i.version, i.publishing_started_at,
                         w.required_approvals, w.allow_self_approval
                     from content_items i
                     join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                     join workspaces w on w.id = i.workspace_id
                     where i.id = $1",
                )
                .bind(content_item_id)
                .fetch_one(&mut **transaction),
            )
            .await?;
        let summary = &found.item.summary;
        let decisions: Vec<(UserId, Decision)> = app
            .database
            .run(
                DatabaseOperation::ListApprovalDecisions,
                sqlx::query_as(
                    "select reviewer_id, decision from approval_decisions
                     where content_item_id = $1 and revision_number = $2",
                )
                .bind(content_item_id)
                .bind(summary.revision)
                .fetch_all(&mut **transaction),
            )
            .await?;
        let revision = summary.revision;
        let recorded = |(reviewer, decision)| RecordedDecision { revision, reviewer, decision };
        let state = ApprovalState {
            status: summary.status,
            revision,
            revision_author: summary.revision_author_id,
            decisions: decisions.into_iter().map(recorded).collect(),
            scheduled_at: summary.scheduled_at,
            publishing: found.publishing_started_at.is_some(),
        };
        let rules = ApprovalRules {
            required_approvals: found.required_approvals,
            allow_self_approval: found.allow_self_approval,
        };
        let publishing_started_at = found.publishing_started_at;
        Ok(Some(Self { item: found.item, state, rules, publishing_started_at }))
    }

    /// Returns the state after the action.
    ///
    /// # Errors
    /// Returns an error if the state machine does not allow the action.
    pub(crate) fn after(&self, action: Action, now: DateTime<Utc>) -> Result<ApprovalState, Error> {
        Ok(self.state.apply(action, self.rules, now)?)
    }

    /// Writes the item with its new state, records activity in the workspace, and returns the item.
    pub(crate) async fn save(
        self,
        app: &App,
        transaction: &mut Transaction,
        next: &ApprovalState,
        now: DateTime<Utc>,
    ) -> Result<ContentItem, Error> {
        let item = self.write(app, transaction, next, None, now).await?;
        touch_workspace(app, transaction, item.summary.workspace_id).await?;
        Ok(item)
    }

    /// Writes the item with its new state, and returns the item. `failure` is the reason if its delivery was
    /// given up.
    pub(crate) async fn write(
        self,
        app: &App,
        transaction: &mut Transaction,
        next: &ApprovalState,
        failure: Option<PublishFailure>,
        now: DateTime<Utc>,
    ) -> database::Result<ContentItem> {
        let mut item = self.item;
        let summary = &mut item.summary;
        let enters_status = next.status != summary.status;
        summary.status = next.status;
        summary.revision = next.revision;
        summary.revision_author_id = next.revision_author;
        summary.scheduled_at = next.scheduled_at;
        summary.publish_failure = failure;
        summary.updated_at = now;
        summary.version += 1;
        if enters_status && next.status == ContentItemStatus::Published {
            summary.published_at = Some(now);
        }
        let publishing_started_at = next.publishing.then(|| self.publishing_started_at.unwrap_or(now));
        app.database
            .run(
                DatabaseOperation::UpdateContentItem,
                sqlx::query(
                    "update content_items set channel = $2, status = $3, current_revision = $4, scheduled_at = $5,
                         publishing_started_at = $6, published_at = $7, updated_at = $8, version = $9,
                         status_entered_at = case when $10 then $8 else status_entered_at end, publish_failure = $11
                     where id = $1",
                )
                .bind(summary.id)
                .bind(summary.channel)
                .bind(summary.status)
                .bind(summary.revision)
                .bind(summary.scheduled_at)
                .bind(publishing_started_at)
                .bind(summary.published_at)
                .bind(summary.updated_at)
                .bind(summary.version)
                .bind(enters_status)
                .bind(summary.publish_failure)
                .execute(&mut **transaction),
            )
            .await?;
        Ok(item)
    }

    /// Returns whether no item of the workspace has been published yet. Two concurrent first publications
    /// both get true; it only feeds a counter.
    pub(crate) async fn is_first_publication(
        &self,
        app: &App,
        transaction: &mut Transaction,
    ) -> database::Result<bool> {
        app.database
            .run(
                DatabaseOperation::FindPublishedContentItem,
                sqlx::query_scalar(
                    "select not exists (select from content_items where workspace_id = $1 and published_at is not \
                     null)",
                )
                .bind(self.item.summary.workspace_id)
                .fetch_one(&mut **transaction),
            )
            .await
    }

    /// Records that a delivery is in progress or has paused. This is not visible to readers of the item, so
    /// its version stays the same.
    pub(crate) async fn write_publishing(
        &self,
        app: &App,
        transaction: &mut Transaction,
        next: &ApprovalState,
        now: DateTime<Utc>,
    ) -> database::Result<()> {
        app.database
            .run(
                DatabaseOperation::UpdateContentItem,
                sqlx::query("update content_items set publishing_started_at = $2 where id = $1")
                    .bind(self.item.summary.id)
                    .bind(next.publishing.then(|| self.publishing_started_at.unwrap_or(now)))
                    .execute(&mut **transaction),
            )
            .await?;
        Ok(())
    }
}
