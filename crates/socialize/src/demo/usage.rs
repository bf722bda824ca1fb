//! Each usage counter beside the facts that it counts. The database is the ledger; where it keeps none, what was driven is.

use domain::catalogue;
use domain::labels::{AuthFailureReason, PublishingOutcome};
use domain::vocabulary::{Decision, FeedbackKind};
use telemetry::ClosedSet;
use telemetry::catalogue::{Label, MetricDescription};
use telemetry::meter::{Snapshot, Value};

use super::ledger::{Facts, PUBLISHED};
use crate::simulate::Driven;

/// One series of a usage counter and its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsageCount {
    /// The name of the metric.
    pub metric: &'static str,
    /// The label that tells the series from the others of the metric.
    pub label: Option<(&'static str, &'static str)>,
    /// What the view calls it.
    pub title: &'static str,
    /// What the counter says.
    pub signal: u64,
    /// How many facts there are.
    pub facts: u64,
    /// Where they were counted.
    pub counted_in: &'static str,
    /// Whether others may have added to the counter what cannot be seen in the facts.
    pub at_least: bool,
}

impl UsageCount {
    /// Whether the counter tells the truth.
    pub(super) fn is_right(&self) -> bool {
        if self.at_least { self.signal >= self.facts } else { self.signal == self.facts }
    }
}

/// What cannot be counted in the database but only by who did it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DrivenFacts {
    /// Attempts to log in.
    pub login_attempts: u64,
    /// Those with a wrong password.
    pub wrong_passwords: u64,
    /// Whether anybody but the simulated people used this Socialize.
    pub others_called: bool,
}

impl DrivenFacts {
    /// Reads them from what was driven. Who else called shows in the requests that the server has counted.
    pub(super) fn of(driven: &Driven, requests: u64) -> Self {
        Self {
            login_attempts: driven.login_attempts,
            wrong_passwords: driven.wrong_passwords,
            others_called: requests > driven.answered,
        }
    }
}

/// Every usage counter with its facts.
pub(super) fn usage(snapshot: &Snapshot, facts: &Facts, driven: DrivenFacts) -> Vec<UsageCount> {
    let unlabelled = |title, metric: MetricDescription, table| UsageCount {
        metric: metric.name,
        label: None,
        title,
        signal: read(snapshot, metric.name, &[]),
        facts: facts.count(table, ""),
        counted_in: table,
        at_least: false,
    };
    let mut counts = vec![
        unlabelled("organizations", catalogue::ORGANIZATIONS_CREATED.description(), "organizations"),
        unlabelled("workspaces", catalogue::WORKSPACES_CREATED.description(), "workspaces"),
        unlabelled("invites", catalogue::WORKSPACE_INVITES_CREATED.description(), "workspace_invites"),
        unlabelled("content items", catalogue::CONTENT_ITEMS_CREATED.description(), "content_items"),
        unlabelled("comments", catalogue::COMMENTS_CREATED.description(), "comments"),
    ];
    let decisions = catalogue::APPROVAL_DECISIONS_SUBMITTED.description();
    counts.extend(Decision::ALL.iter().map(|decision| {
        let title = match decision {
            Decision::Approve => "approvals",
            Decision::RequestChanges => "changes requested",
            Decision::Reject => "rejections",
        };
        labelled(snapshot, facts, title, decisions, *decision, "approval_decisions")
    }));
    let reports = catalogue::FEEDBACK_REPORTS_SUBMITTED.description();
    counts.extend(FeedbackKind::ALL.iter().map(|kind| {
        let title = match kind {
            FeedbackKind::Bug => "feedback: bugs",
            FeedbackKind::Idea => "feedback: ideas",
            FeedbackKind::Question => "feedback: questions",
            FeedbackKind::Other => "feedback: other",
        };
        labelled(snapshot, facts, title, reports, *kind, "feedback_reports")
    }));
    // Nobody of the demo publishes by hand.
    let delivered = (PublishingOutcome::KEY, PublishingOutcome::Delivered.as_str());
    let deliveries = catalogue::PUBLISHING_DELIVERIES.description().name;
    counts.push(UsageCount {
        metric: deliveries,
        label: Some(delivered),
        title: "published",
        signal: read(snapshot, deliveries, &[delivered]),
        facts: facts.count(PUBLISHED, ""),
        counted_in: PUBLISHED,
        at_least: false,
    });
    counts.push(unlabelled("logins", catalogue::AUTH_LOGIN_SUCCESSES.description(), "sessions"));
    counts.extend(login_counts(snapshot, driven));
    counts
}

fn labelled<L: Label>(
    snapshot: &Snapshot,
    facts: &Facts,
    title: &'static str,
    metric: MetricDescription,
    label: L,
    table: &'static str,
) -> UsageCount {
    let label = (L::KEY, label.as_str());
    UsageCount {
        metric: metric.name,
        label: Some(label),
        title,
        signal: read(snapshot, metric.name, &[label]),
        facts: facts.count(table, label.1),
        counted_in: table,
        at_least: false,
    }
}

/// A failed attempt leaves nothing in the database.
fn login_counts(snapshot: &Snapshot, driven: DrivenFacts) -> [UsageCount; 2] {
    let reason = (AuthFailureReason::KEY, AuthFailureReason::InvalidCredentials.as_str());
    let count = |title, metric: MetricDescription, label: Option<_>, facts| UsageCount {
        metric: metric.name,
        label,
        title,
        signal: read(snapshot, metric.name, label.as_slice()),
        facts,
        counted_in: "what was driven",
        at_least: driven.others_called,
    };
    let (attempts, failures) =
        (catalogue::AUTH_LOGIN_ATTEMPTS.description(), catalogue::AUTH_FAILURES.description());
    [
        count("login attempts", attempts, None, driven.login_attempts),
        count("wrong passwords", failures, Some(reason), driven.wrong_passwords),
    ]
}

fn read(snapshot: &Snapshot, metric: &str, labels: &[(&str, &str)]) -> u64 {
    match snapshot.value(metric, labels) {
        Some(Value::Integer(count)) => count.unsigned_abs(),
        _ => 0,
    }
}
