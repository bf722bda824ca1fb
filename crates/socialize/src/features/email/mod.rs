//! E-mails are jobs: they are enqueued in the transaction that makes them necessary and sent by the worker.

pub mod email_limits;
pub mod send_email;

use catalogue::labels::EmailTemplate;
use domain::ids::{ContentItemId, EmailTokenId, InviteId, RegistrationId, UserId};
use domain::vocabulary::Decision;
use serde::{Deserialize, Serialize};
use telemetry::ClosedSet;

use crate::app::App;
use crate::platform::database::{self, Transaction};
use crate::queue::{JobOwner, NewJob, enqueue};

/// An e-mail to be sent. Contains only ids: addresses, names and links are looked up or derived on sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", rename_all = "snake_case", deny_unknown_fields)]
pub enum Email {
    /// Asks a new user to confirm the address.
    VerifyEmail {
        /// The registration; the link's token is derived from it.
        token: RegistrationId,
    },
    /// Tells the owner of an address that somebody tried to register it again.
    AlreadyRegistered { user: UserId },
    /// Carries the link that sets a new password.
    ResetPassword {
        /// Id of the link's token, which names the user.
        token: EmailTokenId,
    },
    /// Invites somebody into a workspace.
    WorkspaceInvite {
        /// The invite, which holds the address.
        invite: InviteId,
    },
    /// Asks a reviewer for a decision.
    ApprovalRequested {
        content_item: ContentItemId,
        /// The revision. If a later one is waiting when this e-mail is sent, it covers that one as well.
        revision: i32,
        reviewer: UserId,
    },
    /// Reminds a reviewer of a decision that has been pending for long.
    ApprovalReminder { content_item: ContentItemId, revision: i32, reviewer: UserId },
    /// Tells an author about a decision.
    ApprovalDecided { content_item: ContentItemId, author: UserId, decision: Decision },
}

impl Email {
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

    /// Returns the owner of the job. E-mails about a person's own account belong to no organization.
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

    /// Enqueues the e-mail; the worker sends it if the transaction commits.
    pub async fn enqueue(self, app: &App, transaction: &mut Transaction) -> database::Result<()> {
        enqueue(&app.queue, transaction, NewJob { owner: self.owner(), ..NewJob::of(&self) }).await
    }

    /// Enqueues an e-mail about a content item for each of `recipients`. Several e-mails about the same item
    /// are merged: while one is waiting no other is enqueued, and after one was sent the next waits for
    /// [`ABOUT_THE_SAME_ITEM`](email_limits::ABOUT_THE_SAME_ITEM).
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
            let owner = JobOwner::ContentItem(content_item);
            let job = NewJob { run_at, owner, deduplication_key, ..NewJob::of(&payload) };
            enqueue(&app.queue, transaction, job).await?;
        }
        Ok(())
    }
}
