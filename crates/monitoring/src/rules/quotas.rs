//! The alert about quotas that are almost used up.

use std::time::Duration;

use catalogue::labels::Quota;
use catalogue::metrics::QUOTA_LARGEST_SHARE;

use super::cases::{case, fires_for, silent};
use super::thresholds::{BACKLOG_PENDING, QUOTA_SHARE};
use super::{Alert, DashboardUid, Runbook, Series, Severity, metrics};
use crate::query::{Scale, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![quota_near(scale)]
}

fn quota_near(scale: Scale) -> Alert {
    let share = || select(&QUOTA_LARGEST_SHARE).now().max_by::<Quota, _>();
    let used = |values| vec![Series::of(&QUOTA_LARGEST_SHARE, Quota::StoragePerOrganization, values)];
    Alert {
        name: "QuotaNear",
        severity: Severity::Info,
        condition: share().above(QUOTA_SHARE).into_expression(),
        pending: scale.of(BACKLOG_PENDING),
        keep_firing: Duration::ZERO,
        summary: "A customer has almost used up the quota {{ $labels.quota }}.".to_owned(),
        description: "The largest user or organization uses {{ $value | humanizePercentage }} of the quota."
            .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "A user or organization uses more than 90 % of `SOCIALIZE_ORGANIZATIONS_PER_USER`, \
                      `SOCIALIZE_WORKSPACES_PER_ORGANIZATION` or `SOCIALIZE_STORAGE_PER_ORGANIZATION`.",
            impact: "At the quota, requests to add more get 403 `quota_reached`. Nobody else is affected.",
            confirm: vec![metrics("The largest share of each quota", &share())],
            remedy: &[
                "Find the user or organization: `select organization_id, bytes from organization_storage order by \
                 bytes desc limit 5`, `select created_by, count(*) from organizations group by 1 order by 2 desc limit \
                 5`, or `select organization_id, count(*) from workspaces group by 1 order by 2 desc limit 5`.",
                "If the use is legitimate, check the free space of disk or bucket, raise the setting in \
                 `deploy/settings.env`, and run `docker compose up --detach`.",
                "If it is abuse, ask the user, or erase the account: docs/PRIVACY.md#erase-a-user.",
            ],
            escalate: "Not needed.",
        },
        fires_without_data: false,
        cases: vec![
            case("nine tenths", 20, used("0.9x20"), silent()),
            case("more than nine tenths, for five minutes", 15, used("0.5x10 0.91x15"), silent())
                .then(16.5, fires_for(Quota::StoragePerOrganization, "91%")),
            case("at once after nine tenths", 12, used("0.5x10 0.91x1 0.5x8"), silent()),
        ],
    }
}
