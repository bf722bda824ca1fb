//! Samples of the gauges. The cost of a sample depends on the number of live objects, and not on the size of
//! the tables.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::StatusGauge;
use chrono::{DateTime, TimeDelta, Utc};
use domain::vocabulary::{ContentItemStatus, FeedbackStatus, parse};
use sqlx::PgConnection;
use telemetry::ClosedSet;

use super::counts::Sample;
use super::fold::fold;
use super::signals::GaugeSignals;
use crate::platform::database::{self, Database};
use crate::platform::quotas::QuotaSettings;

/// Number of rows with each status, by gauge.
pub const COUNTS_BY_STATUS: &str = "select gauge, status, count from gauge_counts";

/// Counts pending invites, stale items, and workspaces active in the shorter and in the longer
/// window.
pub const OTHER_COUNTS: &str =
    "select (select count(*) from workspace_invites where status = 'pending' and expires_at > $1),
            (select count(*) from content_items where status = 'in_approval' and status_entered_at < $2),
            (select count(*) from workspaces where last_active_at > $3),
            (select count(*) from workspaces where last_active_at > $4)";

/// Selects the largest use of each quota by a user or organization, in the order of `Quota::ALL`.
const LARGEST_USES: &str =
    "select (select coalesce(max(count), 0) from (select count(*) from organizations group by created_by) as created),
            (select coalesce(max(count), 0) from (select count(*) from workspaces group by organization_id) as owned),
            (select coalesce(max(bytes), 0) from organization_storage)";

/// Limits that gauges are relative to.
#[derive(Clone, Copy)]
pub(crate) struct GaugeLimits<'a> {
    pub(crate) quotas: &'a QuotaSettings,
    /// Time in approval after which a content item counts as stale.
    pub(crate) approval_stale_after: Duration,
}

/// Reports a sample, and then folds transitions so that the next sample is cheaper.
///
/// # Errors
/// Returns an error if the database fails.
pub(crate) async fn sample(
    database: &Database,
    connection: &mut PgConnection,
    signals: &GaugeSignals,
    limits: GaugeLimits<'_>,
    now: DateTime<Utc>,
) -> database::Result<()> {
    let sample = read(database, connection, now, limits.approval_stale_after).await?;
    signals.sampled(&sample, limits.quotas, now);
    fold(database, connection).await?;
    Ok(())
}

async fn read(
    database: &Database,
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    stale_after: Duration,
) -> database::Result<Sample> {
    let stale_after = TimeDelta::from_std(stale_after).unwrap_or(TimeDelta::MAX);
    let others: (i64, i64, i64, i64) = database
        .run(
            DatabaseOperation::SampleGauges,
            sqlx::query_as(OTHER_COUNTS)
                .bind(now)
                .bind(now - stale_after)
                .bind(now - TimeDelta::days(1))
                .bind(now - TimeDelta::days(7))
                .fetch_one(&mut *connection),
        )
        .await?;
    let by_status: Vec<(String, String, i64)> = database
        .run(DatabaseOperation::SampleGauges, sqlx::query_as(COUNTS_BY_STATUS).fetch_all(&mut *connection))
        .await?;
    let largest: (i64, i64, i64) = database
        .run(DatabaseOperation::SampleGauges, sqlx::query_as(LARGEST_USES).fetch_one(&mut *connection))
        .await?;
    let mut sample = Sample {
        largest_uses: [largest.0, largest.1, largest.2],
        invites_pending: others.0,
        stale_in_approval: others.1,
        workspaces_active_for_a_day: others.2,
        workspaces_active_for_a_week: others.3,
        ..Sample::default()
    };
    for (gauge, status, count) in by_status {
        // Only the version that knows a gauge or status reports it.
        match parse(&gauge) {
            Ok(StatusGauge::ContentItems) => {
                set::<ContentItemStatus>(&mut sample.content_items, &status, count);
            }
            Ok(StatusGauge::FeedbackReports) => {
                set::<FeedbackStatus>(&mut sample.feedback_reports, &status, count);
            }
            Err(_) => {}
        }
    }
    Ok(sample)
}

fn set<S: ClosedSet>(counts: &mut [i64], status: &str, count: i64) {
    if let Ok(status) = parse::<S>(status) {
        counts[status.index()] = count;
    }
}
