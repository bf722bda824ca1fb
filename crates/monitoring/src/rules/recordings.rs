//! Recording rules for the long windows of alerts: a few sums instead of thousands of series.

use catalogue::metrics::{
    APPROVAL_DECISIONS_SUBMITTED, COMMENTS_CREATED, CONTENT_ITEMS_CREATED, ORGANIZATIONS_CREATED,
    WORKSPACE_INVITES_CREATED, WORKSPACES_CREATED,
};
use signal::ClosedSet;
use signal::metric::{CounterMetric, LabelSet};

use super::thresholds::{SHORT, SLOW_REQUEST};
use crate::query::{Recording, RequestFailure, Scale, Total, Vector, requests, select};

/// Requests per second that count for availability: the denominator of the error ratio.
pub const REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests:rate5m",
    query: |scale| requests().served().count().rate(scale.of(SHORT)).sum(),
};

/// Requests per second that the service failed to handle.
pub const FAILED_REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests_failed:rate5m",
    // Without any series of a failure the sum has no value, which means zero.
    query: |scale| {
        let failed = requests().is_one_of(RequestFailure::OURS).count().rate(scale.of(SHORT)).sum();
        failed.or((REQUESTS.query)(scale).times(0.0))
    },
};

/// Requests per second that count for latency: the denominator of the ratio of slow requests.
pub const TIMED_REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests_timed:rate5m",
    query: |scale| requests().timed().count().rate(scale.of(SHORT)).sum(),
};

/// Requests per second that were slower than [`SLOW_REQUEST`].
pub const SLOW_REQUESTS: Recording<Total> = Recording {
    name: "socialize:http_server_requests_slow:rate5m",
    query: |scale| {
        let slow = requests().timed().rate_above(SLOW_REQUEST, scale.of(SHORT));
        // While nothing is requested the number of slow requests is NaN, and that of all is zero.
        slow.at_least(0.0).or((TIMED_REQUESTS.query)(scale))
    },
};

/// Core workflows of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("workflow")]
pub enum Workflow {
    /// A user founds an organization.
    CreateOrganization,
    /// A team adds a brand.
    CreateWorkspace,
    /// Somebody is invited to a workspace.
    InviteToWorkspace,
    /// An author drafts a post.
    CreateContentItem,
    /// A comment is written.
    Comment,
    /// A reviewer decides.
    Decide,
}

impl Workflow {
    fn rate(self, scale: Scale) -> Vector<Self> {
        fn rate<L: LabelSet>(counter: &CounterMetric<L>, scale: Scale) -> Vector<Total> {
            select(counter).rate(scale.of(SHORT)).sum()
        }
        let rate = match self {
            Self::CreateOrganization => rate(&ORGANIZATIONS_CREATED, scale),
            Self::CreateWorkspace => rate(&WORKSPACES_CREATED, scale),
            Self::InviteToWorkspace => rate(&WORKSPACE_INVITES_CREATED, scale),
            Self::CreateContentItem => rate(&CONTENT_ITEMS_CREATED, scale),
            Self::Comment => rate(&COMMENTS_CREATED, scale),
            Self::Decide => rate(&APPROVAL_DECISIONS_SUBMITTED, scale),
        };
        rate.labelled(self)
    }
}

/// Core actions per second, by workflow.
pub const WORKFLOW_ACTIONS: Recording<Workflow> = Recording {
    name: "socialize:workflow_actions:rate5m",
    query: |scale| {
        let rates = Workflow::ALL.iter().map(|workflow| workflow.rate(scale));
        rates.reduce(|one, other| one.or(other)).unwrap_or_else(Vector::nothing)
    },
};

/// Core actions per second, in total.
pub const CORE_ACTIONS: Recording<Total> = Recording {
    name: "socialize:core_actions:rate5m",
    query: |scale| (WORKFLOW_ACTIONS.query)(scale).total(),
};

/// Name and expression of each recording.
pub(super) fn all(scale: Scale) -> [(&'static str, String); 6] {
    fn kept<G: crate::query::Grouping>(recording: &Recording<G>, scale: Scale) -> (&'static str, String) {
        (recording.name, (recording.query)(scale).text().to_owned())
    }
    [
        kept(&REQUESTS, scale),
        kept(&FAILED_REQUESTS, scale),
        kept(&TIMED_REQUESTS, scale),
        kept(&SLOW_REQUESTS, scale),
        kept(&WORKFLOW_ACTIONS, scale),
        kept(&CORE_ACTIONS, scale),
    ]
}
