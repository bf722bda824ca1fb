//! Background services: one file each. What kind of job is whose work, and how it is run.

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

/// How jobs of each kind are run.
pub fn policy(kind: JobKind) -> JobPolicy {
    match kind {
        // The time limit is above the mail server's own ones together, so that those say what went wrong.
        JobKind::SendEmail => JobPolicy { concurrency: 8, timeout: Duration::from_secs(180), every: None },
        JobKind::ExpireInvites => JobPolicy {
            concurrency: 1,
            timeout: Duration::from_secs(120),
            every: Some(Duration::from_secs(5 * 60)),
        },
        JobKind::CleanUpTokens => JobPolicy {
            concurrency: 1,
            timeout: Duration::from_secs(300),
            every: Some(Duration::from_secs(60 * 60)),
        },
        // Together with the age at which uploads are given up this stays well below an hour.
        JobKind::CleanUpBlobs => JobPolicy {
            concurrency: 1,
            timeout: Duration::from_secs(300),
            every: Some(Duration::from_secs(10 * 60)),
        },
        JobKind::RemindStaleApprovals => JobPolicy {
            concurrency: 1,
            timeout: Duration::from_secs(300),
            every: Some(Duration::from_secs(60 * 60)),
        },
        // The time limit is above those of the call together. Each workspace has a lane, so one whose endpoint is slow has one
        // of these at most.
        JobKind::PublishContentItem => {
            JobPolicy { concurrency: 32, timeout: Duration::from_secs(60), every: None }
        }
        JobKind::GiveUpPublishing => JobPolicy {
            concurrency: 1,
            timeout: Duration::from_secs(60),
            every: Some(Duration::from_secs(60)),
        },
    }
}

/// Does the work of a job.
///
/// # Errors
/// Says whether another attempt makes sense.
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
