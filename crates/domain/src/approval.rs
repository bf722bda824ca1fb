//! The approval state machine: the possible actions on a content item, and their results.
//!
//! It is pure and total: every action on every state yields the next state or a [`Refusal`]. It knows
//! neither the time, nor the database, nor the caller's role. Whether a user is a reviewer at all is
//! a matter of authorisation and is decided before. Whether *this* reviewer may decide on *this*
//! revision is decided here.
//!
//! ```text
//!            ┌──────────────── edit: a new revision, earlier decisions are void ────────────────┐
//!            ▼                                                                                  │
//!          draft ── submit ──► in_approval ── enough approvals ──► approved ◄─ unschedule ─┐    │
//!                                  │  │                               │                    │    │
//!                request_changes ──┘  └── reject                      └── schedule ──► scheduled │
//!                      ▼                    ▼                                          │  │   ▲ │
//!              changes_requested         rejected                       published ◄────┘  ▼   │ retry
//!                                                                                  publish_failed
//! ```
//!
//! An edit leads back to `draft` from every status but `published` and `archived`, even if the item was
//! approved or scheduled. So only approved revisions get published. After a request for changes or a
//! rejection only an edit leads on, because the decision stands as long as the revision does. Everything can
//! be archived, and nothing leaves the archive.
//!
//! A change of a workspace's rules changes no status: the new rules apply from the next decision.
//!
//! Long because the state machine is total, and one match shows that.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use signal::ClosedSet;

use crate::ids::UserId;
use crate::vocabulary::{ContentItemStatus, Decision};

/// The number of a revision of one content item; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(minimum = 1))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
pub struct RevisionNumber(pub i32);

impl RevisionNumber {
    /// The revision number of a new content item.
    pub const FIRST: Self = Self(1);

    /// Saturates, so that the machine stays total. The table's primary key rejects a number that
    /// exists.
    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The error for a revision number below 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchRevisionNumber;

impl fmt::Display for NoSuchRevisionNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected the number of a revision, from 1")
    }
}

impl std::error::Error for NoSuchRevisionNumber {}

impl TryFrom<i32> for RevisionNumber {
    type Error = NoSuchRevisionNumber;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        if number >= Self::FIRST.0 { Ok(Self(number)) } else { Err(NoSuchRevisionNumber) }
    }
}

impl From<RevisionNumber> for i32 {
    fn from(revision: RevisionNumber) -> Self {
        revision.0
    }
}

/// Number of reviewers that have to approve a revision, from 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(minimum = 1, maximum = 5))]
pub struct RequiredApprovals(i32);

impl RequiredApprovals {
    /// The minimum that a workspace can require.
    pub const MIN: Self = Self(1);
    /// The maximum that a workspace can require.
    pub const MAX: Self = Self(5);

    /// Returns the plain number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// The error for a number outside 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredApprovalsOutOfRange;

impl fmt::Display for RequiredApprovalsOutOfRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected a number of required approvals from 1 to 5")
    }
}

impl std::error::Error for RequiredApprovalsOutOfRange {}

impl TryFrom<i32> for RequiredApprovals {
    type Error = RequiredApprovalsOutOfRange;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        if (Self::MIN.0..=Self::MAX.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(RequiredApprovalsOutOfRange)
        }
    }
}

impl From<RequiredApprovals> for i32 {
    fn from(required: RequiredApprovals) -> Self {
        required.0
    }
}

/// The approval settings of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalRules {
    /// Number of different reviewers that have to approve.
    pub required_approvals: RequiredApprovals,
    /// If true, reviewers may decide on revisions that they wrote.
    pub allow_self_approval: bool,
}

/// One reviewer's decision on one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedDecision {
    /// The revision that was reviewed.
    pub revision: RevisionNumber,
    /// The user who decided.
    pub reviewer: UserId,
    /// The verdict of the reviewer.
    pub decision: Decision,
}

/// Everything about a content item that determines its possible actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalState {
    /// The item's current status.
    pub status: ContentItemStatus,
    /// The current revision.
    pub revision: RevisionNumber,
    /// The author of the current revision.
    pub revision_author: UserId,
    /// The decisions made so far. Those on other revisions are void and may be left out.
    pub decisions: Vec<RecordedDecision>,
    /// Scheduled time of publication, past or future.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// True while a delivery is in progress.
    pub publishing: bool,
}

/// Actions of users and workers on a content item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A user writes another revision.
    Edit {
        /// The author of the new revision.
        author: UserId,
    },
    /// The current revision is submitted to the reviewers.
    Submit,
    /// A reviewer decides on a revision.
    Decide {
        /// The reviewer who decides.
        reviewer: UserId,
        /// The revision that the reviewer has read, so that nobody approves another one by
        /// accident.
        revision: RevisionNumber,
        /// The verdict of the reviewer.
        decision: Decision,
    },
    /// The item is to be published at a time, which replaces an earlier one.
    Schedule {
        /// Time of publication.
        at: DateTime<Utc>,
    },
    /// The item is not to be published for now, and remains approved.
    Unschedule,
    /// The item is to be published immediately.
    PublishNow,
    /// A worker begins to deliver the item. This can happen again, because a worker can be killed
    /// during a delivery.
    StartPublishing,
    /// The delivery failed and will be retried later. Until then the item can be changed.
    PostponePublishing,
    /// The delivery succeeded, or a manager published the item by hand.
    PublishSucceeded,
    /// The delivery has been given up.
    PublishFailed,
    /// A failed delivery is to be retried immediately.
    RetryPublish,
    /// The item is archived permanently.
    Archive,
}

/// The reason why an action is not possible. The API returns it with the code `transition_refused`
/// and its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum Refusal {
    /// Nothing can be done with an archived item.
    Archived,
    /// The item has already been published.
    AlreadyPublished,
    /// The item is being delivered now.
    PublishingInProgress,
    /// Only a draft can be submitted.
    NotDraft,
    /// Reviewers turned down the current revision, so it needs an edit.
    EditRequired,
    /// Reviewers decide only while the item is in approval.
    NotInApproval,
    /// The decision is about an older revision.
    NotCurrentRevision,
    /// The reviewer wrote the revision, and the workspace does not allow self-approval.
    OwnRevision,
    /// The reviewer has already decided on this revision.
    AlreadyDecided,
    /// Only an approved item can be scheduled or published.
    NotApproved,
    /// Only a scheduled item can be unscheduled or delivered.
    NotScheduled,
    /// The time to publish at is not in the future.
    ScheduledTimeInPast,
    /// The time of publication has not come yet.
    NotDue,
    /// A delivery ended that had not begun.
    PublishingNotStarted,
    /// Only a failed delivery can be retried.
    NotPublishFailed,
}

impl Refusal {
    /// Returns the message for the client: the obstacle and what would help.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Archived => "The content item is archived and cannot be changed any more.",
            Self::AlreadyPublished => "The content item is published; it can only be archived.",
            Self::PublishingInProgress => {
                "The content item is being published at this moment; try again shortly."
            }
            Self::NotDraft => "Only a draft can be submitted.",
            Self::EditRequired => {
                "The current revision was turned down; edit the content item before submitting it again."
            }
            Self::NotInApproval => "Decisions can be made only while the content item is in approval.",
            Self::NotCurrentRevision => {
                "The decision is about another revision; read the current one and decide on that."
            }
            Self::OwnRevision => {
                "You wrote this revision, and this workspace asks for the decision of somebody else."
            }
            Self::AlreadyDecided => "You have decided on this revision already.",
            Self::NotApproved => "The content item needs the approval of its current revision first.",
            Self::NotScheduled => "The content item is not scheduled.",
            Self::ScheduledTimeInPast => "The time to publish at must be in the future.",
            Self::NotDue => "The time to publish at has not come.",
            Self::PublishingNotStarted => "The delivery of the content item has not begun.",
            Self::NotPublishFailed => "Only a content item whose publishing failed can be retried.",
        }
    }
}

impl ApprovalState {
    /// Returns the state of a new content item.
    #[must_use]
    pub const fn draft(author: UserId) -> Self {
        Self {
            status: ContentItemStatus::Draft,
            revision: RevisionNumber::FIRST,
            revision_author: author,
            decisions: Vec::new(),
            scheduled_at: None,
            publishing: false,
        }
    }

    /// Returns the state after the action.
    ///
    /// # Errors
    ///
    /// Returns the [`Refusal`] that says why the action is not possible now.
    pub fn apply(&self, action: Action, rules: ApprovalRules, now: DateTime<Utc>) -> Result<Self, Refusal> {
        match self.status {
            ContentItemStatus::Archived => return Err(Refusal::Archived),
            ContentItemStatus::Published if action != Action::Archive => {
                return Err(Refusal::AlreadyPublished);
            }
            _ => {}
        }
        match action {
            Action::Edit { author } => self.edit(author),
            Action::Submit => self.submit(),
            Action::Decide { reviewer, revision, decision } => {
                self.decide(RecordedDecision { revision, reviewer, decision }, rules)
            }
            Action::Schedule { at } => self.schedule(at, now),
            Action::Unschedule => self.unschedule(),
            Action::PublishNow => self.publish_now(now),
            Action::StartPublishing => self.start_publishing(now),
            Action::PostponePublishing => self.postpone_publishing(),
            Action::PublishSucceeded => self.publish_succeeded(),
            Action::PublishFailed => self.publish_failed(),
            Action::RetryPublish => self.retry_publish(now),
            Action::Archive => self.archive(),
        }
    }

    /// Returns the number of different reviewers who have approved the current revision and are
    /// eligible under these rules.
    #[must_use]
    pub fn approvals(&self, rules: ApprovalRules) -> usize {
        let approved_by: std::collections::BTreeSet<UserId> = self
            .decisions
            .iter()
            .filter(|recorded| recorded.revision == self.revision && recorded.decision == Decision::Approve)
            .map(|recorded| recorded.reviewer)
            .filter(|reviewer| self.may_decide(*reviewer, rules))
            .collect();
        approved_by.len()
    }

    fn may_decide(&self, reviewer: UserId, rules: ApprovalRules) -> bool {
        rules.allow_self_approval || reviewer != self.revision_author
    }

    fn edit(&self, author: UserId) -> Result<Self, Refusal> {
        self.refuse_while_publishing()?;
        Ok(Self {
            status: ContentItemStatus::Draft,
            revision: self.revision.next(),
            revision_author: author,
            scheduled_at: None,
            ..self.clone()
        })
    }

    fn submit(&self) -> Result<Self, Refusal> {
        match self.status {
            ContentItemStatus::Draft => Ok(self.with_status(ContentItemStatus::InApproval)),
            ContentItemStatus::ChangesRequested | ContentItemStatus::Rejected => Err(Refusal::EditRequired),
            _ => Err(Refusal::NotDraft),
        }
    }

    fn decide(&self, decided: RecordedDecision, rules: ApprovalRules) -> Result<Self, Refusal> {
        // Checked first, because it helps most: the reviewer is looking at a page from before an
        // edit.
        if decided.revision != self.revision {
            return Err(Refusal::NotCurrentRevision);
        }
        if self.status != ContentItemStatus::InApproval {
            return Err(Refusal::NotInApproval);
        }
        if !self.may_decide(decided.reviewer, rules) {
            return Err(Refusal::OwnRevision);
        }
        let same_reviewer = |earlier: &RecordedDecision| {
            earlier.revision == decided.revision && earlier.reviewer == decided.reviewer
        };
        if self.decisions.iter().any(same_reviewer) {
            return Err(Refusal::AlreadyDecided);
        }

        let mut next = self.clone();
        next.decisions.push(decided);
        next.status = match decided.decision {
            Decision::RequestChanges => ContentItemStatus::ChangesRequested,
            Decision::Reject => ContentItemStatus::Rejected,
            Decision::Approve if next.approvals(rules) >= rules.required_approvals.0 as usize => {
                ContentItemStatus::Approved
            }
            Decision::Approve => ContentItemStatus::InApproval,
        };
        Ok(next)
    }

    fn schedule(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<Self, Refusal> {
        match self.status {
            ContentItemStatus::Approved | ContentItemStatus::Scheduled | ContentItemStatus::PublishFailed => {
                self.refuse_while_publishing()?;
                if at <= now {
                    return Err(Refusal::ScheduledTimeInPast);
                }
                Ok(self.scheduled(at))
            }
            _ => Err(Refusal::NotApproved),
        }
    }

    fn unschedule(&self) -> Result<Self, Refusal> {
        self.refuse_unless_scheduled()?;
        self.refuse_while_publishing()?;
        Ok(Self { status: ContentItemStatus::Approved, scheduled_at: None, ..self.clone() })
    }

    fn publish_now(&self, now: DateTime<Utc>) -> Result<Self, Refusal> {
        match self.status {
            ContentItemStatus::Approved | ContentItemStatus::Scheduled => {
                self.refuse_while_publishing()?;
                Ok(self.scheduled(now))
            }
            // A retry is a different action that requires a different permission.
            _ => Err(Refusal::NotApproved),
        }
    }

    fn start_publishing(&self, now: DateTime<Utc>) -> Result<Self, Refusal> {
        self.refuse_unless_scheduled()?;
        if self.scheduled_at.is_none_or(|at| at > now) {
            return Err(Refusal::NotDue);
        }
        Ok(Self { publishing: true, ..self.clone() })
    }

    fn postpone_publishing(&self) -> Result<Self, Refusal> {
        self.refuse_unless_publishing()?;
        Ok(Self { publishing: false, ..self.clone() })
    }

    fn publish_succeeded(&self) -> Result<Self, Refusal> {
        self.refuse_unless_publishing()?;
        Ok(Self { publishing: false, ..self.with_status(ContentItemStatus::Published) })
    }

    fn publish_failed(&self) -> Result<Self, Refusal> {
        // The delivery need not have begun: killed workers can use up all attempts of a job.
        self.refuse_unless_scheduled()?;
        Ok(Self { publishing: false, ..self.with_status(ContentItemStatus::PublishFailed) })
    }

    fn retry_publish(&self, now: DateTime<Utc>) -> Result<Self, Refusal> {
        match self.status {
            ContentItemStatus::PublishFailed => Ok(self.scheduled(now)),
            _ => Err(Refusal::NotPublishFailed),
        }
    }

    fn archive(&self) -> Result<Self, Refusal> {
        self.refuse_while_publishing()?;
        Ok(self.with_status(ContentItemStatus::Archived))
    }

    fn with_status(&self, status: ContentItemStatus) -> Self {
        Self { status, ..self.clone() }
    }

    fn scheduled(&self, at: DateTime<Utc>) -> Self {
        Self { scheduled_at: Some(at), ..self.with_status(ContentItemStatus::Scheduled) }
    }

    fn refuse_while_publishing(&self) -> Result<(), Refusal> {
        if self.publishing { Err(Refusal::PublishingInProgress) } else { Ok(()) }
    }

    fn refuse_unless_scheduled(&self) -> Result<(), Refusal> {
        if self.status == ContentItemStatus::Scheduled { Ok(()) } else { Err(Refusal::NotScheduled) }
    }

    fn refuse_unless_publishing(&self) -> Result<(), Refusal> {
        self.refuse_unless_scheduled()?;
        if self.publishing { Ok(()) } else { Err(Refusal::PublishingNotStarted) }
    }
}
