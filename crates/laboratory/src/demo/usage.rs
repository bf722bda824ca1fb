//! Compares each usage counter with the facts that it counts. The facts come from the database, or from the
//! simulation if the database does not store them.

use catalogue::labels::{AuthFailureReason, PublishingOutcome};
use catalogue::metrics;
use domain::vocabulary::{Decision, FeedbackKind};
use signal::metric::{Label, MetricDescription};
use telemetry::ClosedSet;
use telemetry::meter::{Snapshot, Value};

use super::ledger::{Facts, PUBLISHED};
use crate::simulate::Driven;

/// A series of a usage counter, and its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsageCount {
    pub metric: &'static str,
    /// Label that distinguishes the series.
    pub label: Option<(&'static str, &'static str)>,
    /// Title in the view.
    pub title: &'static str,
    /// Value of the counter.
    pub signal: u64,
    pub facts: u64,
    /// Source of the facts.
    pub counted_in: &'static str,
    /// True if the counter may exceed the facts, because others use this server.
    pub at_least: bool,
}

impl UsageCount {
    /// Returns whether counter and facts agree.
    pub(super) fn is_right(&self) -> bool {
        if self.at_least { self.signal >= self.facts } else { self.signal == self.facts }
    }
}

/// Facts that only the simulation knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DrivenFacts {
    pub login_attempts: u64,
    /// Attempts with a wrong password.
    pub wrong_passwords: u64,
    /// True if anybody but the simulated people sent requests.
    pub others_called: bool,
}

impl DrivenFacts {
    /// Builds it from the simulation. Additional requests in the server's count reveal other callers.
    pub(super) fn of(driven: &Driven, requests: u64) -> Self {
        Self {
            login_attempts: driven.login_attempts,
            wrong_passwords: driven.wrong_passwords,
            others_called: requests > driven.answered,
        }
    }
}

/// Returns every usage counter with its facts.
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
        unlabelled("organizations", metrics::ORGANIZATIONS_CREATED.description(), "organizations"),
        unlabelled("workspaces", metrics::WORKSPACES_CREATED.description(), "workspaces"),
        unlabelled("invites", metrics::WORKSPACE_INVITES_CREATED.description(), "workspace_invites"),
        unlabelled("content items", metrics::CONTENT_ITEMS_CREATED.description(), "content_items"),
        unlabelled("comments", metrics::COMMENTS_CREATED.description(), "comments"),
    ];
    let decisions = metrics::APPROVAL_DECISIONS_SUBMITTED.description();
    counts.extend(Decision::ALL.iter().map(|decision| {
        let title = match decision {
            Decision::Approve => "approvals",
            Decision::RequestChanges => "changes requested",
            Decision::Reject => "rejections",
        };
        labelled(snapshot, facts, title, decisions, *decision, "approval_decisions")
    }));
    let reports = metrics::FEEDBACK_REPORTS_SUBMITTED.description();
    counts.extend(FeedbackKind::ALL.iter().map(|kind| {
        let title = match kind {
            FeedbackKind::Bug => "feedback: bugs",
            FeedbackKind::Idea => "feedback: ideas",
            FeedbackKind::Question => "feedback: questions",
            FeedbackKind::Other => "feedback: other",
        };
        labelled(snapshot, facts, title, reports, *kind, "feedback_reports")
    }));
    // Nobody in the demo publishes manually.
    let delivered = (PublishingOutcome::KEY, PublishingOutcome::Delivered.as_str());
    let deliveries = metrics::PUBLISHING_DELIVERIES.description().name;
    counts.push(UsageCount {
        metric: deliveries,
        label: Some(delivered),
        title: "published",
        signal: read(snapshot, deliveries, &[delivered]),
        facts: facts.count(PUBLISHED, ""),
        counted_in: PUBLISHED,
        at_least: false,
    });
    counts.push(unlabelled("logins", metrics::AUTH_LOGIN_SUCCESSES.description(), "sessions"));
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
        (metrics::AUTH_LOGIN_ATTEMPTS.description(), metrics::AUTH_FAILURES.description());
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
