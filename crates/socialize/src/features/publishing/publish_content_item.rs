//! Delivers a content item to the publishing endpoint of its workspace.
//!
//! One transaction marks the item as being published, the delivery runs outside any transaction, and another
//! one writes its result. If the worker dies in between, the delivery is repeated with the same `webhook-id`.
//! After the last attempt the item is `publish_failed`: managers see that and can act, so the job counts as
//! successful.

use std::time::Duration;

use bytes::Bytes;
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{JobKind, Peer, PublishingOutcome};
use chrono::SecondsFormat;
use domain::approval::Action;
use domain::vocabulary::PublishFailure;
use http::StatusCode;
use serde_json::json;
use telemetry::ErrorType;
use url::Url;

use super::publication::{Publication, StoredEndpoint};
use crate::app::App;
use crate::features::content::{ContentItem, LockedContentItem};
use crate::platform::outbound::{OutboundResponse, Post};
use crate::platform::{database, webhook};
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Maximum `Retry-After` that is honoured. Longer ones would stretch a day of attempts to a week.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Maximum slowness of an endpoint, and number of responses until it has recovered from that.
const LARGEST_SLOWNESS: i16 = 20;

/// A delivery and its destination.
struct Delivery {
    item: ContentItem,
    endpoint: StoredEndpoint,
}

/// Result of an attempt.
enum Verdict {
    Delivered,
    Deferred(JobError),
    GivenUp(PublishFailure),
}

impl JobType for Publication {
    type State = App;

    const KIND: JobKind = JobKind::PublishContentItem;
    const POLICY: JobPolicy = JobPolicy {
        // Each workspace has a lane, so a slow endpoint takes at most one slot.
        concurrency: 128,
        is_shared: true,
        // Exceeds the timeouts of the call.
        timeout: Duration::from_secs(60),
        every: Self::KIND.period(),
    };
    // With backoff they span about a day.
    const ATTEMPTS: i32 = 12;

    async fn run(self, app: &App, job: &Job) -> Result<(), JobError> {
        publish(app, job, self).await
    }
}

/// Makes one attempt. Fails if another one is needed.
async fn publish(app: &App, job: &Job, publication: Publication) -> Result<(), JobError> {
    let Some(delivery) = begin(app, &publication).await? else { return Ok(()) };
    let is_last = job.attempt >= job.max_attempts;
    let result = deliver(app, &publication, &delivery, is_last).await;
    let behaved = Behaviour::of(&delivery.endpoint, &result);
    conclude(app, &publication, &delivery.endpoint, behaved, judge(result, is_last)).await
}

/// Marks the item as being published. Returns `None` if the publication is obsolete or has no endpoint.
async fn begin(app: &App, publication: &Publication) -> database::Result<Option<Delivery>> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let Publication { workspace, content_item, .. } = *publication;
    let Some(locked) = LockedContentItem::find(app, &mut transaction, workspace, content_item).await? else {
        return Ok(None);
    };
    if !publication.is_wanted(&locked) {
        return Ok(None);
    }
    let failure = match StoredEndpoint::find(app, &mut transaction, workspace).await? {
        Some(endpoint) if endpoint.disabled_at.is_none() => {
            // The database's clock decides when a job is due; this machine's clock may be behind.
            let now = now.max(publication.scheduled_at);
            let Ok(next) = locked.state.apply(Action::StartPublishing, locked.rules, now) else {
                return Ok(None);
            };
            locked.write_publishing(app, &mut transaction, &next, now).await?;
            app.database.commit(transaction).await?;
            return Ok(Some(Delivery { item: locked.item, endpoint }));
        }
        Some(_) => PublishFailure::EndpointGone,
        None => PublishFailure::NoEndpoint,
    };
    let Ok(next) = locked.state.apply(Action::PublishFailed, locked.rules, now) else { return Ok(None) };
    locked.write(app, &mut transaction, &next, Some(failure), now).await?;
    app.database.commit(transaction).await?;

    app.signals.publishing_given_up(&publication.item(), failure);
    Ok(None)
}

/// New information about the behaviour of an endpoint. Slots and timeouts depend on it: see `queue/room.rs`
/// and [`haste`].
struct Behaviour {
    slowness: i16,
    has_answered: bool,
}

impl Behaviour {
    fn of(endpoint: &StoredEndpoint, result: &Result<OutboundResponse, ErrorType>) -> Option<Self> {
        let (slowness, has_answered) = match result {
            Ok(_) => ((endpoint.slowness - 1).max(0), true),
            Err(ErrorType::Timeout) => ((endpoint.slowness + 2).min(LARGEST_SLOWNESS), endpoint.has_answered),
            // An immediate refusal costs no time.
            Err(_) => return None,
        };
        let is_news = (slowness, has_answered) != (endpoint.slowness, endpoint.has_answered);
        is_news.then_some(Self { slowness, has_answered })
    }

    /// Stores it, unless a manager has changed the URL since the call.
    async fn write(
        &self,
        app: &App,
        transaction: &mut database::Transaction,
        publication: &Publication,
        endpoint: &StoredEndpoint,
    ) -> database::Result<()> {
        app.database
            .run(
                DatabaseOperation::RatePublishingEndpoint,
                sqlx::query(
                    "update publishing_endpoints set slowness = $3, has_answered = $4 where workspace_id = $1 and url \
                     = $2",
                )
                .bind(publication.workspace)
                .bind(&endpoint.url)
                .bind(self.slowness)
                .bind(self.has_answered)
                .execute(&mut **transaction),
            )
            .await?;
        Ok(())
    }
}

/// Divisor of an endpoint's response timeout: 2 after a call that timed out, and 4 if that continues. The
/// last attempt has the full timeout, so that an endpoint that is merely slow gets everything in the end.
fn haste(slowness: i16, is_last: bool) -> u32 {
    match slowness {
        _ if is_last => 1,
        ..2 => 1,
        2..4 => 2,
        4.. => 4,
    }
}

async fn deliver(
    app: &App,
    publication: &Publication,
    delivery: &Delivery,
    is_last: bool,
) -> Result<OutboundResponse, ErrorType> {
    // It was checked when it was set.
    let url: Url = delivery.endpoint.url.parse().map_err(|_| ErrorType::InvalidData)?;
    let (now, body) = (app.clock.now(), body(publication, &delivery.item));
    let secrets = delivery.endpoint.secrets(app, now);
    let headers = webhook::headers(&publication.webhook_id(), now, &body, &secrets);
    let describe = |attributes: &mut telemetry::Attributes| publication.item().describe(attributes);
    let haste = haste(delivery.endpoint.slowness, is_last);
    app.outbound.post(Peer::PublishingEndpoint, describe, Post { url, headers, body, haste }).await
}

/// Body of the request. Every attempt at a publication sends the same bytes.
fn body(publication: &Publication, item: &ContentItem) -> Bytes {
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let body = json!({
        "type": "content_item.publish",
        "timestamp": time(publication.scheduled_at),
        "data": {
            "workspace_id": publication.workspace,
            "content_item_id": publication.content_item,
            "revision": publication.revision,
            "channel": item.summary.channel,
            "title": item.summary.title,
            "body": item.body,
            "scheduled_at": time(publication.scheduled_at),
        },
    });
    body.to_string().into()
}

/// According to Standard Webhooks, 2xx is a success and 410 refuses all further deliveries. Anything else is
/// retried.
fn judge(result: Result<OutboundResponse, ErrorType>, is_last: bool) -> Verdict {
    match result {
        Ok(OutboundResponse { error_type: None, .. }) => Verdict::Delivered,
        Ok(OutboundResponse { status: StatusCode::GONE, .. }) => {
            Verdict::GivenUp(PublishFailure::EndpointGone)
        }
        Ok(_) if is_last => Verdict::GivenUp(PublishFailure::NotAccepted),
        Ok(OutboundResponse { error_type: Some(error_type), retry_after, .. }) => {
            Verdict::Deferred(match retry_after {
                Some(wait) => JobError::RetryAfter(error_type, wait.min(LONGEST_RETRY_AFTER)),
                None => JobError::Retry(error_type),
            })
        }
        Err(ErrorType::ForbiddenAddress) => Verdict::GivenUp(PublishFailure::ForbiddenAddress),
        Err(_) if is_last => Verdict::GivenUp(PublishFailure::Unreachable),
        Err(error_type) => Verdict::Deferred(JobError::Retry(error_type)),
    }
}

/// Writes the result. Nobody else changes the item while it is being published.
async fn conclude(
    app: &App,
    publication: &Publication,
    endpoint: &StoredEndpoint,
    behaved: Option<Behaviour>,
    verdict: Verdict,
) -> Result<(), JobError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let Publication { workspace, content_item, .. } = *publication;
    let locked = LockedContentItem::find(app, &mut transaction, workspace, content_item).await?;
    // It was deleted with its workspace, or another worker took over and has written the result.
    let Some(locked) = locked.filter(|locked| publication.is_wanted(locked)) else { return Ok(()) };
    let after = |action| locked.state.apply(action, locked.rules, now);
    if let Some(behaved) = behaved {
        behaved.write(app, &mut transaction, publication, endpoint).await?;
    }
    match verdict {
        Verdict::Delivered => {
            let Ok(next) = after(Action::PublishSucceeded) else { return Ok(()) };
            let is_first = locked.is_first_publication(app, &mut transaction).await?;
            locked.write(app, &mut transaction, &next, None, now).await?;
            app.database.commit(transaction).await?;

            app.signals.publishing_attempted(&publication.item(), PublishingOutcome::Delivered);
            if is_first {
                app.signals.workspace_first_published(workspace, content_item);
            }
            Ok(())
        }
        Verdict::Deferred(error) => {
            let Ok(next) = after(Action::PostponePublishing) else { return Ok(()) };
            locked.write_publishing(app, &mut transaction, &next, now).await?;
            app.database.commit(transaction).await?;

            app.signals.publishing_attempted(&publication.item(), PublishingOutcome::Deferred);
            Err(error)
        }
        Verdict::GivenUp(failure) => {
            let Ok(next) = after(Action::PublishFailed) else { return Ok(()) };
            locked.write(app, &mut transaction, &next, Some(failure), now).await?;
            if failure == PublishFailure::EndpointGone {
                disable(app, &mut transaction, publication, endpoint).await?;
            }
            app.database.commit(transaction).await?;

            app.signals.publishing_given_up(&publication.item(), failure);
            Ok(())
        }
    }
}

/// Disables the endpoint, unless a manager has set it again since the call.
async fn disable(
    app: &App,
    transaction: &mut database::Transaction,
    publication: &Publication,
    endpoint: &StoredEndpoint,
) -> database::Result<()> {
    app.database
        .run(
            DatabaseOperation::DisablePublishingEndpoint,
            sqlx::query(
                "update publishing_endpoints set disabled_at = $3 where workspace_id = $1 and updated_at = $2",
            )
            .bind(publication.workspace)
            .bind(endpoint.updated_at)
            .bind(app.clock.now())
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_keeps_timing_out_is_given_less_time_but_for_the_last_attempt() {
        let all = |is_last| [0, 1, 2, 3, 4, LARGEST_SLOWNESS].map(|slowness| haste(slowness, is_last));
        assert_eq!(all(false), [1, 1, 2, 2, 4, 4]);
        assert_eq!(all(true), [1; 6]);
    }
}
