//! Recording rules for the long windows of alerts: a few sums instead of thousands of series.

use std::time::Duration;

use catalogue::metrics::{
    APPROVAL_DECISIONS_SUBMITTED, COMMENTS_CREATED, CONTENT_ITEMS_CREATED, ORGANIZATIONS_CREATED,
    WORKSPACE_INVITES_CREATED, WORKSPACES_CREATED,
};
use signal::ClosedSet;
use signal::metric::{CounterMetric, LabelSet};

use super::RECORDED;
use super::thresholds::{SHORT, SLOW_REQUEST};
use crate::query::{Expression, Grouping, Recording, RequestFailure, Scale, Total, Vector, requests, select};

/// The group of all recording rules.
pub struct RecordingGroup {
    /// The name of the group and of its file.
    pub name: &'static str,
    /// Evaluation interval at real scale.
    pub every: Duration,
    /// The rules, in the order of their evaluation.
    pub rules: Vec<RecordingRule>,
}

/// A recording rule at some scale.
pub struct RecordingRule {
    /// Name of the series that it writes.
    pub name: &'static str,
    /// The query whose result it stores.
    pub expression: Expression,
}

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
        // Without traffic, the number of slow requests is NaN and the total is zero.
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

/// All recordings. Each one can read those above it.
pub fn recordings(scale: Scale) -> RecordingGroup {
    fn rule<G: Grouping>(recording: &Recording<G>, scale: Scale) -> RecordingRule {
        let expression = (recording.query)(scale).into_expression();
        RecordingRule { name: recording.name, expression }
    }
    let rules = vec![
        rule(&REQUESTS, scale),
        rule(&FAILED_REQUESTS, scale),
        rule(&TIMED_REQUESTS, scale),
        rule(&SLOW_REQUESTS, scale),
        rule(&WORKFLOW_ACTIONS, scale),
        rule(&CORE_ACTIONS, scale),
    ];
    RecordingGroup { name: "recordings", every: RECORDED, rules }
}
