//! What Prometheus keeps for the windows of days that alerts look back over: three sums instead of thousands of series.

use domain::catalogue::{
    APPROVAL_DECISIONS_SUBMITTED, COMMENTS_CREATED, CONTENT_ITEMS_CREATED, ORGANIZATIONS_CREATED,
    WORKSPACE_INVITES_CREATED, WORKSPACES_CREATED,
};

use super::thresholds::{SHORT, SLOW_REQUEST};
use crate::query::{Recording, RequestFailure, Total, requests, select};

/// Requests per second.
pub const REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests:rate5m",
    query: |scale| requests().count().rate(scale.of(SHORT)).sum(),
};

/// Requests per second that failed by a fault of the service.
pub const FAILED_REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests_failed:rate5m",
    // Without any series of a failure the sum has no value, and zero is what that means.
    query: |scale| {
        let failed = requests().is_one_of(RequestFailure::OURS).count().rate(scale.of(SHORT)).sum();
        failed.or(requests().count().rate(scale.of(SHORT)).sum().times(0.0))
    },
};

/// Requests per second that took longer than users like to wait.
pub const SLOW_REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests_slow:rate5m",
    query: |scale| {
        let window = scale.of(SHORT);
        requests().count().rate(window).sum().minus(requests().within(SLOW_REQUEST).rate(window).sum())
    },
};

/// What people do when they use Socialize, per second.
pub const CORE_ACTIONS: Recording<Total> = Recording {
    name: "socialize:core_actions:rate5m",
    query: |scale| {
        let window = scale.of(SHORT);
        select(&ORGANIZATIONS_CREATED)
            .rate(window)
            .sum()
            .plus(select(&WORKSPACES_CREATED).rate(window).sum())
            .plus(select(&WORKSPACE_INVITES_CREATED).rate(window).sum())
            .plus(select(&CONTENT_ITEMS_CREATED).rate(window).sum())
            .plus(select(&COMMENTS_CREATED).rate(window).sum())
            .plus(select(&APPROVAL_DECISIONS_SUBMITTED).rate(window).sum())
    },
};

/// All of them.
pub(super) fn all() -> [&'static Recording<Total>; 4] {
    [&REQUESTS, &FAILED_REQUESTS, &SLOW_REQUESTS, &CORE_ACTIONS]
}
