//! Background jobs, one file per kind, and the rules for running them.

pub mod clean_up_blobs;
pub mod clean_up_tokens;
pub mod expire_invites;
pub mod give_up_publishing;
pub mod publish_content_item;
pub mod remind_stale_approvals;
pub mod send_email;

use std::time::Duration;

use domain::labels::JobKind;

use crate::app::App;
use crate::queue::{Job, JobError, JobPolicy};

/// Rules for running jobs of each kind. Periods are in [`JobKind::period`], because alerts need them as well.
pub fn policy(kind: JobKind) -> JobPolicy {
    let (concurrency, timeout) = match kind {
        // The timeout exceeds the sum of the mail client's timeouts, so that those report the cause.
        JobKind::SendEmail => (8, Duration::from_secs(180)),
        JobKind::ExpireInvites => (1, Duration::from_secs(120)),
        JobKind::CleanUpTokens | JobKind::CleanUpBlobs | JobKind::RemindStaleApprovals => {
            (1, Duration::from_secs(300))
        }
        // The timeout exceeds those of the call. Each workspace has a lane, so a slow endpoint takes at most
        // one slot.
        JobKind::PublishContentItem => (128, Duration::from_secs(60)),
        JobKind::GiveUpPublishing => (1, Duration::from_secs(60)),
    };
    let is_shared = kind == JobKind::PublishContentItem;
    JobPolicy { concurrency, is_shared, timeout, every: kind.period() }
}

/// Runs a job.
///
/// # Errors
/// States whether a retry makes sense.
pub async fn run(app: &App, job: &Job) -> Result<(), JobError> {
    match job.kind {
        JobKind::SendEmail => send_email::run(app, job).await,
        JobKind::ExpireInvites => Ok(expire_invites::run(app).await.map(drop)?),
        JobKind::CleanUpTokens => clean_up_tokens::run(app).await,
        JobKind::CleanUpBlobs => clean_up_blobs::run(app).await,
        JobKind::RemindStaleApprovals => Ok(remind_stale_approvals::run(app).await.map(drop)?),
        JobKind::PublishContentItem => publish_content_item::run(app, job).await,
        JobKind::GiveUpPublishing => give_up_publishing::run(app).await,
    }
}
