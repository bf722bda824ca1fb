//! Deliveries of content items to the publishing endpoints of their workspaces: job payloads and endpoint
//! lookup.

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::ErrorCode;
use chrono::{DateTime, Utc};
use domain::ids::{ContentItemId, WorkspaceId};
use domain::vocabulary::ContentItemStatus;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::features::content::{ContentItem, LockedContentItem};
use crate::http::error::Error;
use crate::platform::database::{self, Transaction};
use crate::platform::signals::PublishedItem;
use crate::platform::webhook::SigningSecret;
use crate::queue::{JobOwner, NewJob, enqueue_in_lane};

/// A revision to deliver at a given time. Contains only ids: content and endpoint are looked up on delivery.
///
/// The time is part of it because an item may be rescheduled, unscheduled or edited. The outdated job is not
/// removed; it detects that by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The workspace whose endpoint receives it.
    pub workspace: WorkspaceId,
    pub content_item: ContentItemId,
    /// The approved revision.
    pub revision: i32,
    pub scheduled_at: DateTime<Utc>,
}

impl Publication {
    /// Returns the publication of a scheduled item.
    pub fn of(item: &ContentItem) -> Option<Self> {
        let summary = &item.summary;
        let scheduled_at = summary.scheduled_at.filter(|_| summary.status == ContentItemStatus::Scheduled)?;
        Some(Self {
            workspace: summary.workspace_id,
            content_item: summary.id,
            revision: summary.revision.0,
            scheduled_at,
        })
    }

    /// Returns whether the item still waits for this publication.
    pub(crate) fn is_wanted(&self, locked: &LockedContentItem) -> bool {
        Self::of(&locked.item) == Some(*self)
    }

    /// Identifies the delivery, so that receivers recognise repetitions. It is the same for all attempts,
    /// even when a manager retries after the last one: the endpoint may have accepted an earlier attempt.
    pub(crate) fn webhook_id(&self) -> String {
        format!("post_{}_{}", self.content_item, self.revision)
    }

    /// The ids for signals.
    pub(crate) fn item(&self) -> PublishedItem {
        PublishedItem {
            workspace_id: self.workspace,
            content_item_id: self.content_item,
            revision: self.revision.unsigned_abs().into(),
        }
    }

    /// Enqueues the delivery; the worker runs it if the transaction commits. Each workspace has a lane of its
    /// own, so a slow endpoint delays only its own deliveries.
    pub async fn enqueue(self, app: &App, transaction: &mut Transaction) -> database::Result<()> {
        let job = NewJob {
            // If it is due by this machine's clock, it must not wait for the database's clock.
            run_at: Some(self.scheduled_at).filter(|at| *at > app.clock.now()),
            owner: JobOwner::Workspace(self.workspace),
            deduplication_key: Some(format!(
                "{}:{}",
                self.content_item,
                self.scheduled_at.timestamp_micros()
            )),
            ..NewJob::of(&self)
        };
        enqueue_in_lane(&app.queue, transaction, job, self.workspace.uuid()).await
    }
}

/// Publishing endpoint of a workspace.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct StoredEndpoint {
    pub(crate) url: String,
    pub(crate) secret_id: Uuid,
    pub(crate) previous_secret_id: Option<Uuid>,
    pub(crate) previous_secret_until: Option<DateTime<Utc>>,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    /// Increases by two with each timeout and decreases by one with each response.
    pub(crate) slowness: i16,
    /// True if it has ever responded.
    pub(crate) has_answered: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl StoredEndpoint {
    /// Finds the endpoint of a workspace.
    pub(crate) async fn find(
        app: &App,
        connection: &mut PgConnection,
        workspace_id: WorkspaceId,
    ) -> database::Result<Option<Self>> {
        app.database
            .run(
                DatabaseOperation::FindPublishingEndpoint,
                sqlx::query_as(
                    "select url, secret_id, previous_secret_id, previous_secret_until, disabled_at, slowness,
                            has_answered, created_at, updated_at
                     from publishing_endpoints where workspace_id = $1",
                )
                .bind(workspace_id)
                .fetch_optional(connection),
            )
            .await
    }

    /// The secrets that currently sign deliveries, the newest first.
    pub(crate) fn secrets(&self, app: &App, now: DateTime<Utc>) -> Vec<SigningSecret> {
        let previous =
            self.previous_secret_id.filter(|_| self.previous_secret_until.is_some_and(|until| now < until));
        let ids = [Some(self.secret_id), previous];
        ids.into_iter().flatten().map(|secret_id| app.tokens.signing_secret(secret_id)).collect()
    }
}

/// Requires an endpoint that can receive deliveries.
///
/// # Errors
/// Returns an error if the workspace has no endpoint or it is disabled, or the database fails.
pub(crate) async fn require_endpoint(
    app: &App,
    transaction: &mut Transaction,
    workspace_id: WorkspaceId,
) -> Result<(), Error> {
    let endpoint = StoredEndpoint::find(app, transaction, workspace_id).await?;
    let refused = |message: &'static str| Err(Error::refused(ErrorCode::PublishingEndpointMissing, message));
    match endpoint {
        Some(endpoint) if endpoint.disabled_at.is_none() => Ok(()),
        Some(_) => {
            refused("The publishing endpoint refused all further deliveries (410 Gone): set it again first.")
        }
        None => refused(
            "The workspace has no publishing endpoint: set one first, or mark the content item as published.",
        ),
    }
}
