//! E-mails are jobs: they are enqueued in the transaction that makes them necessary and sent by the worker.

use domain::ids::{ContentItemId, EmailTokenId, InviteId, RegistrationId, UserId};
use domain::labels::{EmailTemplate, JobKind};
use domain::vocabulary::Decision;
use serde::{Deserialize, Serialize};
use telemetry::ClosedSet;

use crate::app::App;
use crate::database::{self, Transaction};
use crate::email_limits;
use crate::queue::{JobOwner, NewJob, enqueue};

/// How often delivery of an e-mail is tried: with backoff, for about a day.
const MAX_ATTEMPTS: i32 = 12;

/// An e-mail to be sent. Ids only: addresses, names and links are looked up or derived when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", rename_all = "snake_case", deny_unknown_fields)]
pub enum Email {
    /// Asks a new user to confirm the address.
    VerifyEmail {
        /// The registration, from which the link's token is derived.
        token: RegistrationId,
    },
    /// Tells the owner of an address that somebody tried to register it again.
    AlreadyRegistered {
        /// The owner.
        user: UserId,
    },
    /// Carries the link that sets a new password.
    ResetPassword {
        /// The link's token, which names the user.
        token: EmailTokenId,
    },
    /// Invites somebody into a workspace.
    WorkspaceInvite {
        /// The invite, which has the address.
        invite: InviteId,
    },
    /// Asks a reviewer for a decision.
    ApprovalRequested {
        /// What to decide on.
        content_item: ContentItemId,
        /// Which revision of it; a later one that waits when this is sent is meant as well.
        revision: i32,
        /// Who is asked.
        reviewer: UserId,
    },
    /// Reminds a reviewer of a decision that has been asked for long ago.
    ApprovalReminder {
        /// What to decide on.
        content_item: ContentItemId,
        /// Which revision of it.
        revision: i32,
        /// Who is reminded.
        reviewer: UserId,
    },
    /// Tells an author what was decided.
    ApprovalDecided {
        /// On what.
        content_item: ContentItemId,
        /// Who wrote it.
        author: UserId,
        /// What was decided.
        decision: Decision,
    },
}

impl Email {
    /// Its template.
    pub fn template(self) -> EmailTemplate {
        match self {
            Self::VerifyEmail { .. } => EmailTemplate::VerifyEmail,
            Self::AlreadyRegistered { .. } => EmailTemplate::AlreadyRegistered,
            Self::ResetPassword { .. } => EmailTemplate::ResetPassword,
            Self::WorkspaceInvite { .. } => EmailTemplate::WorkspaceInvite,
            Self::ApprovalRequested { .. } => EmailTemplate::ApprovalRequested,
            Self::ApprovalReminder { .. } => EmailTemplate::ApprovalReminder,
            Self::ApprovalDecided { .. } => EmailTemplate::ApprovalDecided,
        }
    }

    /// Whose doing it is. What people do about their own accounts belongs to no organization.
    fn owner(self) -> JobOwner {
        match self {
            Self::VerifyEmail { .. } | Self::AlreadyRegistered { .. } | Self::ResetPassword { .. } => {
                JobOwner::Nobody
            }
            Self::WorkspaceInvite { invite } => JobOwner::Invite(invite),
            Self::ApprovalRequested { content_item, .. }
            | Self::ApprovalReminder { content_item, .. }
            | Self::ApprovalDecided { content_item, .. } => JobOwner::ContentItem(content_item),
        }
    }

    /// Leaves it to the worker, if and when the transaction commits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue(self, app: &App, transaction: &mut Transaction) -> database::Result<()> {
        let (kind, max_attempts) = (JobKind::SendEmail, MAX_ATTEMPTS);
        enqueue(
            app,
            transaction,
            NewJob {
                kind,
                payload: &self,
                run_at: None,
                owner: self.owner(),
                max_attempts,
                deduplication_key: None,
            },
        )
        .await
    }

    /// Leaves e-mails about one content item to the worker, one to each of `recipients`. Several about the same become one: while one
    /// waits no other is enqueued, and after one was sent the next waits for [`ABOUT_THE_SAME_ITEM`](email_limits::ABOUT_THE_SAME_ITEM).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue_about_item(
        app: &App,
        transaction: &mut Transaction,
        content_item: ContentItemId,
        recipients: &[UserId],
        email: impl Fn(UserId) -> Self,
    ) -> database::Result<()> {
        let Some(template) = recipients.first().map(|recipient| email(*recipient).template()) else {
            return Ok(());
        };
        let due = email_limits::next_about_item(app, transaction, template, content_item, recipients).await?;
        for (recipient, run_at) in due {
            let payload = email(recipient);
            let decision = match payload {
                Self::ApprovalDecided { decision, .. } => decision.as_str(),
                _ => "",
            };
            let deduplication_key =
                Some(format!("{}:{content_item}:{recipient}:{decision}", template.as_str()));
            let (kind, max_attempts) = (JobKind::SendEmail, MAX_ATTEMPTS);
            let owner = JobOwner::ContentItem(content_item);
            let job = NewJob { kind, payload: &payload, run_at, owner, max_attempts, deduplication_key };
            enqueue(app, transaction, job).await?;
        }
        Ok(())
    }
}
