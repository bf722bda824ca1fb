//! Publishing of approved items. Managers decide when and where an item is published.

use axum::extract::State;
use chrono::{DateTime, Months, Utc};
use domain::approval::Action;
use domain::ids::{ContentItemId, WorkspaceId};
use domain::vocabulary::ContentItemStatus;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::publication::{Publication, require_endpoint};
use crate::app::App;
use crate::features::content::{ContentItem, ContentItemPath, LockedContentItem};
use crate::http::error::{Error, responses};
use crate::http::extract::{Body, Manager, Parameters, WorkspaceMember};
use crate::platform::text::Moment;

/// Maximum time ahead for which an item can be scheduled.
const MAX_SCHEDULE_AHEAD: Months = Months::new(12);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(schedule_content_item))
        .routes(routes!(unschedule_content_item))
        .routes(routes!(publish_content_item))
        .routes(routes!(mark_content_item_published))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Schedule {
    /// In the future, and at most a year ahead.
    scheduled_at: Moment,
}

/// Schedule an approved content item, or reschedule it
///
/// At its time it is delivered to the workspace's publishing endpoint, which must be set before.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/schedule", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    request_body = Schedule,
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn schedule_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Parameters(path): Parameters<ContentItemPath>,
    Body(schedule): Body<Schedule>,
) -> Result<ContentItem, Error> {
    let now = app.clock.now();
    let at = schedule.scheduled_at.time();
    if at <= now {
        return Err(Error::invalid_field("scheduled_at", "must be in the future"));
    }
    if now.checked_add_months(MAX_SCHEDULE_AHEAD).is_some_and(|latest| at > latest) {
        return Err(Error::invalid_field("scheduled_at", "must be at most a year ahead"));
    }
    deliver_after(&app, &member, path.content_item_id, now, |_| Action::Schedule { at }).await
}

/// Unschedule a content item
///
/// It stays approved.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/unschedule", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn unschedule_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<ContentItem, Error> {
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    let locked =
        LockedContentItem::lock(&app, &mut transaction, member.workspace_id, path.content_item_id).await?;
    let next = locked.after(Action::Unschedule, now)?;
    // The delivery's job stays in the queue. At its time it finds that it is obsolete.
    let item = locked.save(&app, &mut transaction, &next, now).await?;
    app.database.commit(transaction).await?;

    Ok(item)
}

/// Publish a content item at once
///
/// Delivers an approved or scheduled item, or one whose delivery was given up, to the workspace's publishing
/// endpoint. Until the endpoint has accepted it, its status is `scheduled`.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/publish", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn publish_content_item(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<ContentItem, Error> {
    deliver_after(&app, &member, path.content_item_id, app.clock.now(), begin_publishing).await
}

/// Mark a content item as published
///
/// For a manager who has published the item elsewhere. Nothing is delivered.
#[utoipa::path(
    post, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/mark-published", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 200, body = ContentItem, headers(("etag" = String, description = "Value for If-Match of an edit."))),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn mark_content_item_published(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
    Parameters(path): Parameters<ContentItemPath>,
) -> Result<ContentItem, Error> {
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    let locked =
        LockedContentItem::lock(&app, &mut transaction, member.workspace_id, path.content_item_id).await?;
    let begin = begin_publishing(locked.state.status);
    // A delivery takes the same three steps. Here the manager has already published the item, so all of them
    // happen at once.
    let next = locked
        .state
        .apply(begin, locked.rules, now)?
        .apply(Action::StartPublishing, locked.rules, now)?
        .apply(Action::PublishSucceeded, locked.rules, now)?;
    let is_first = locked.is_first_publication(&app, &mut transaction).await?;
    let item = locked.save(&app, &mut transaction, &next, now).await?;
    app.database.commit(transaction).await?;

    if is_first {
        app.signals.workspace_first_published(member.workspace_id, path.content_item_id);
    }
    Ok(item)
}

/// Returns the action that starts publishing an item in this status.
fn begin_publishing(status: ContentItemStatus) -> Action {
    match status {
        ContentItemStatus::PublishFailed => Action::RetryPublish,
        _ => Action::PublishNow,
    }
}

/// Performs an action after which the item must be delivered, and enqueues the delivery.
async fn deliver_after(
    app: &App,
    member: &WorkspaceMember<Manager>,
    content_item_id: ContentItemId,
    now: DateTime<Utc>,
    action: impl FnOnce(ContentItemStatus) -> Action,
) -> Result<ContentItem, Error> {
    let mut transaction = app.database.begin().await?;
    let locked = LockedContentItem::lock(app, &mut transaction, member.workspace_id, content_item_id).await?;
    let next = locked.after(action(locked.state.status), now)?;
    require_endpoint(app, &mut transaction, member.workspace_id).await?;
    let item = locked.save(app, &mut transaction, &next, now).await?;
    if let Some(publication) = Publication::of(&item) {
        publication.enqueue(app, &mut transaction).await?;
    }
    app.database.commit(transaction).await?;
    Ok(item)
}
