//! The approval state machine: what may happen to a content item, and what it is afterwards.
//!
//! It is pure and total: every action on every state is either the next state or a [`Refusal`], and nothing here knows
//! the time, the database or the caller's role. Whether somebody is a reviewer at all is authorisation and is decided
//! before; whether *this* reviewer may decide on *this* revision is decided here.
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
//! An edit leads from everywhere but `published` and `archived` back to `draft`, also when the item was approved or
//! scheduled: what people approved is exactly what gets published. After a request for changes or a rejection only an
//! edit leads on, because the decision stands for as long as the revision does. Everything can be archived, and nothing
//! leaves the archive.
//!
//! A workspace that changes its rules changes no status: the new rules count from the next decision on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use telemetry::ClosedSet;
use utoipa::ToSchema;

use crate::ids::UserId;
use crate::vocabulary::{ContentItemStatus, Decision};

/// The number of a revision of one content item; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i32", into = "i32")]
#[schema(minimum = 1)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
pub struct RevisionNumber(pub i32);

impl RevisionNumber {
    /// The revision that a content item is created with.
    pub const FIRST: Self = Self(1);

    /// Saturates, so that the machine stays total; the primary key of the table refuses a number that exists.
    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A number that no revision has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the number of a revision, from 1")]
pub struct NoSuchRevisionNumber;

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

/// How many reviewers have to approve a revision: 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i32", into = "i32")]
#[schema(minimum = 1, maximum = 5)]
pub struct RequiredApprovals(i32);

impl RequiredApprovals {
    /// The least that a workspace can ask for.
    pub const MIN: Self = Self(1);
    /// The most that a workspace can ask for.
    pub const MAX: Self = Self(5);

    /// The number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// A number of required approvals that no workspace can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of required approvals from 1 to 5")]
pub struct RequiredApprovalsOutOfRange;

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

/// What a workspace asks of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalRules {
    /// How many different reviewers have to approve.
    pub required_approvals: RequiredApprovals,
    /// Whether somebody may decide on a revision that they wrote.
    pub allow_self_approval: bool,
}

/// A decision that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedDecision {
    /// The revision that it is about.
    pub revision: RevisionNumber,
    /// Who made it.
    pub reviewer: UserId,
    /// The verdict.
    pub decision: Decision,
}

/// All about a content item that decides what may happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalState {
    /// Where the item stands.
    pub status: ContentItemStatus,
    /// The current revision.
    pub revision: RevisionNumber,
    /// Who wrote the current revision.
    pub revision_author: UserId,
    /// The decisions made so far. Those on other revisions may be left out; they are void and do not count.
    pub decisions: Vec<RecordedDecision>,
    /// When the item is, or was, to be published.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Whether a delivery is under way at this moment.
    pub publishing: bool,
}

/// Something that happens to a content item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Somebody writes another revision.
    Edit {
        /// Who writes it.
        author: UserId,
    },
    /// The current revision is put before the reviewers.
    Submit,
    /// A reviewer decides.
    Decide {
        /// Who decides.
        reviewer: UserId,
        /// The revision that the reviewer has seen, so that nobody approves what they have not read.
        revision: RevisionNumber,
        /// The verdict.
        decision: Decision,
    },
    /// The item is to be published at a time, or at another time than before.
    Schedule {
        /// That time.
        at: DateTime<Utc>,
    },
    /// The item is not to be published for now, and stays approved.
    Unschedule,
    /// The item is to be published at once.
    PublishNow,
    /// A worker begins to deliver the item. It may begin again, because a worker can be killed while it delivers.
    StartPublishing,
    /// The delivery failed and is to be tried again later; until then the item can be changed.
    PostponePublishing,
    /// The item was delivered.
    PublishSucceeded,
    /// The delivery was given up.
    PublishFailed,
    /// A delivery that was given up is to be tried again at once.
    RetryPublish,
    /// The item is put away for good.
    Archive,
}

/// Why an action is not possible. The API answers each with the code `transition_refused` and the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// The item is archived.
    Archived,
    /// The item is published.
    AlreadyPublished,
    /// The item is being delivered at this moment.
    PublishingInProgress,
    /// Only a draft can be submitted.
    NotDraft,
    /// The current revision was turned down.
    EditRequired,
    /// Reviewers decide only while the item is in approval.
    NotInApproval,
    /// The decision is about a revision that is not the current one.
    NotCurrentRevision,
    /// The reviewer wrote the revision, and the workspace does not allow that.
    OwnRevision,
    /// The reviewer has decided on this revision before.
    AlreadyDecided,
    /// Only an approved item can be scheduled or published.
    NotApproved,
    /// The item is not scheduled.
    NotScheduled,
    /// The time to publish at is not in the future.
    ScheduledTimeInPast,
    /// The time to publish at has not come.
    NotDue,
    /// A delivery ended that had not begun.
    PublishingNotStarted,
    /// Only a failed delivery can be retried.
    NotPublishFailed,
}

impl Refusal {
    /// What the client is told: what is in the way and what would help.
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

impl ClosedSet for Refusal {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl ApprovalState {
    /// The state of a content item that somebody has just created.
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

    /// The state after the action.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that says why the action is not possible now.
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

    /// How many different reviewers have approved the current revision and may do so under these rules.
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
        // Said first, because it is what helps a reviewer who looks at a page from before an edit.
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
            // A retry is another action, with another permission.
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
        // It need not have begun: the attempts of a job can be used up by workers that were killed.
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
