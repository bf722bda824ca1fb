//! Contents of the database as reported by the gauges.

use catalogue::labels::{ActivityWindow, JobKind, StatusGauge};
use catalogue::metrics;
use domain::vocabulary::{ContentItemStatus, FeedbackStatus};
use signal::metric::{Label, LabelSet, MetricDescription};
use telemetry::ClosedSet;
use telemetry::meter::{Snapshot, Value};

/// A sample, and the last comparison of its counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gauges {
    /// Content items by status.
    pub(super) content_items: Vec<(&'static str, u64)>,
    /// Feedback reports by status.
    pub(super) feedback_reports: Vec<(&'static str, u64)>,
    pub(super) invites_pending: u64,
    pub(super) stale_in_approval: u64,
    /// Workspaces active within a day and within a week.
    pub(super) workspaces_active: (u64, u64),
    /// Rows by which counts and tables differ; `None` before the first comparison.
    pub(super) drift: Option<u64>,
}

impl Gauges {
    /// Returns `None` if no process has sampled.
    pub(super) fn read(snapshot: &Snapshot) -> Option<Self> {
        let unlabelled = |metric: MetricDescription| read(snapshot, metric, &[]);
        let active = |window| one(snapshot, metrics::WORKSPACES_ACTIVE.description(), window);
        let drift = |gauge: &StatusGauge| one(snapshot, metrics::GAUGE_DRIFT.description(), *gauge);
        Some(Self {
            content_items: all::<ContentItemStatus>(snapshot, metrics::CONTENT_ITEMS.description())?,
            feedback_reports: all::<FeedbackStatus>(snapshot, metrics::FEEDBACK_REPORTS.description())?,
            invites_pending: unlabelled(metrics::WORKSPACE_INVITES_PENDING.description())?,
            stale_in_approval: unlabelled(metrics::CONTENT_ITEMS_STALE_IN_APPROVAL.description())?,
            workspaces_active: (active(ActivityWindow::Day)?, active(ActivityWindow::Week)?),
            drift: StatusGauge::ALL.iter().map(drift).sum(),
        })
    }
}

/// Dead letters by kind, without kinds that have none.
pub(super) fn dead_letters(snapshot: &Snapshot) -> Vec<(&'static str, u64)> {
    let dead = all::<JobKind>(snapshot, metrics::JOB_QUEUE_DEAD.description()).unwrap_or_default();
    dead.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn all<L: Label>(snapshot: &Snapshot, metric: MetricDescription) -> Option<Vec<(&'static str, u64)>> {
    L::ALL.iter().map(|label| Some((label.as_str(), one(snapshot, metric, *label)?))).collect()
}

fn one<L: Label>(snapshot: &Snapshot, metric: MetricDescription, label: L) -> Option<u64> {
    read(snapshot, metric, &label.pairs().collect::<Vec<_>>())
}

fn read(snapshot: &Snapshot, metric: MetricDescription, labels: &[(&str, &str)]) -> Option<u64> {
    match snapshot.value(metric.name, labels) {
        Some(Value::Number(value)) => Some(*value as u64),
        _ => None,
    }
}
