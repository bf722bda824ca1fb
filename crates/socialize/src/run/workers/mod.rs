//! Background jobs, one file per kind, and the rules for running them.

mod samples;

use std::sync::Arc;

use catalogue::labels::JobKind;
use futures_util::future::BoxFuture;

pub use self::samples::samples;
use crate::app::App;
use crate::features::auth::clean_up_tokens::CleanUpTokens;
use crate::features::content::remind_stale_approvals::RemindStaleApprovals;
use crate::features::email::Email;
use crate::features::files::clean_up_blobs::CleanUpBlobs;
use crate::features::publishing::give_up_publishing::GiveUpPublishing;
use crate::features::publishing::publication::Publication;
use crate::features::workspaces::expire_invites::ExpireInvites;
use crate::platform::database;
use crate::queue::{self, EnqueuePeriodic, Job, JobEntry, JobError, JobPolicy, RunCounts, run_due_jobs_with};

/// Settings of the application's worker.
pub type WorkerSettings = queue::WorkerSettings<App>;

impl Default for WorkerSettings {
    /// The settings of production.
    fn default() -> Self {
        Self::new(policy, enqueue_periodic, Arc::new(run), samples)
    }
}

/// Runs all due jobs with the settings of production; see [`run_due_jobs_with`].
///
/// # Errors
/// Returns an error if the database fails to hand out jobs.
pub async fn run_due_jobs(app: &App) -> database::Result<RunCounts> {
    run_due_jobs_with(app, &WorkerSettings::default()).await
}

fn entry(kind: JobKind) -> JobEntry<App> {
    match kind {
        JobKind::SendEmail => JobEntry::of::<Email>(),
        JobKind::ExpireInvites => JobEntry::periodic::<ExpireInvites>(),
        JobKind::CleanUpTokens => JobEntry::periodic::<CleanUpTokens>(),
        JobKind::CleanUpBlobs => JobEntry::periodic::<CleanUpBlobs>(),
        JobKind::RemindStaleApprovals => JobEntry::periodic::<RemindStaleApprovals>(),
        JobKind::PublishContentItem => JobEntry::of::<Publication>(),
        JobKind::GiveUpPublishing => JobEntry::periodic::<GiveUpPublishing>(),
    }
}

/// Rules for running jobs of each kind. Periods are in [`JobKind::period`], because alerts need them as well.
pub fn policy(kind: JobKind) -> JobPolicy {
    entry(kind).policy
}

/// Returns the function that enqueues a job of this kind, if it is periodic.
fn enqueue_periodic(kind: JobKind) -> Option<EnqueuePeriodic> {
    entry(kind).enqueue_periodic
}

/// Runs a job. An error states whether a retry makes sense.
pub fn run(app: App, job: Job) -> BoxFuture<'static, Result<(), JobError>> {
    (entry(job.kind).run)(app, job)
}

#[cfg(test)]
mod tests {
    use telemetry::ClosedSet;

    use super::*;

    #[test]
    fn each_kind_has_its_own_job() {
        for kind in JobKind::ALL {
            let entry = entry(*kind);
            assert_eq!(entry.kind, *kind);
            assert_eq!(entry.policy.every.is_some(), entry.enqueue_periodic.is_some(), "{kind:?}");
        }
    }
}
