//! Instruments of the gauges.

use catalogue::labels::{ActivityWindow, Quota, StatusGauge};
use catalogue::{events, metrics};
use chrono::{DateTime, Utc};
use domain::vocabulary::{ContentItemStatus, FeedbackStatus};
use telemetry::meter::Gauge;
use telemetry::{ClosedSet, Telemetry};

use super::check::Difference;
use super::counts::Sample;
use crate::platform::quotas::QuotaSettings;

/// The instruments that samples and comparisons set. They report nothing before the first one.
pub struct GaugeSignals {
    content_items: Gauge<ContentItemStatus>,
    feedback_reports: Gauge<FeedbackStatus>,
    invites_pending: Gauge,
    stale_in_approval: Gauge,
    workspaces_active: Gauge<ActivityWindow>,
    quota_largest_share: Gauge<Quota>,
    last_success: Gauge,
    drift: Gauge<StatusGauge>,
}

impl GaugeSignals {
    pub fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter();
        Self {
            content_items: meter.gauge(&metrics::CONTENT_ITEMS),
            feedback_reports: meter.gauge(&metrics::FEEDBACK_REPORTS),
            invites_pending: meter.gauge(&metrics::WORKSPACE_INVITES_PENDING),
            stale_in_approval: meter.gauge(&metrics::CONTENT_ITEMS_STALE_IN_APPROVAL),
            workspaces_active: meter.gauge(&metrics::WORKSPACES_ACTIVE),
            quota_largest_share: meter.gauge(&metrics::QUOTA_LARGEST_SHARE),
            last_success: meter.gauge(&metrics::SAMPLER_LAST_SUCCESS),
            drift: meter.gauge(&metrics::GAUGE_DRIFT),
        }
    }

    /// Reports a sample: every state, including empty ones.
    pub(super) fn sampled(&self, sample: &Sample, quotas: &QuotaSettings, now: DateTime<Utc>) {
        for status in ContentItemStatus::ALL {
            self.content_items.set(*status, sample.content_items[status.index()] as f64);
        }
        for status in FeedbackStatus::ALL {
            self.feedback_reports.set(*status, sample.feedback_reports[status.index()] as f64);
        }
        self.invites_pending.set((), sample.invites_pending as f64);
        self.stale_in_approval.set((), sample.stale_in_approval as f64);
        self.workspaces_active.set(ActivityWindow::Day, sample.workspaces_active_for_a_day as f64);
        self.workspaces_active.set(ActivityWindow::Week, sample.workspaces_active_for_a_week as f64);
        for quota in Quota::ALL {
            let share = sample.largest_uses[quota.index()] as f64 / quotas.limit(*quota) as f64;
            self.quota_largest_share.set(*quota, share);
        }
        self.last_success.set((), now.timestamp_millis() as f64 / 1000.0);
    }

    /// Stops reporting samples, because another process samples, or none can.
    pub(crate) fn sample_unknown(&self) {
        self.last_success.clear();
        self.content_items.clear();
        self.feedback_reports.clear();
        self.invites_pending.clear();
        self.stale_in_approval.clear();
        self.workspaces_active.clear();
        self.quota_largest_share.clear();
    }

    /// Reports the result of a comparison.
    pub(crate) fn compared(&self, differences: &[Difference]) {
        for gauge in StatusGauge::ALL {
            let of_gauge = differences.iter().filter(|difference| difference.gauge == gauge.as_str());
            let rows: i64 = of_gauge.map(|difference| (difference.actual - difference.counted).abs()).sum();
            self.drift.set(*gauge, rows as f64);
            if rows > 0 {
                tracing::error!(
                    name: events::GAUGE_DRIFTED,
                    gauge = gauge.as_str(),
                    count = rows,
                    "the counts of a gauge differ from its table"
                );
            }
        }
    }

    /// Stops reporting differences, because another process compares, or none can.
    pub(crate) fn drift_unknown(&self) {
        self.drift.clear();
    }
}
