//! The counts of one sample.

use catalogue::labels::Quota;
use domain::vocabulary::{ContentItemStatus, FeedbackStatus};
use telemetry::ClosedSet;

/// Counts at one moment. Counts by status are indexed by the status.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) content_items: [i64; ContentItemStatus::ALL.len()],
    pub(super) feedback_reports: [i64; FeedbackStatus::ALL.len()],
    pub(super) invites_pending: i64,
    pub(super) stale_in_approval: i64,
    pub(super) workspaces_active_for_a_day: i64,
    pub(super) workspaces_active_for_a_week: i64,
    /// By the index of the [`Quota`].
    pub(super) largest_uses: [i64; Quota::ALL.len()],
}
