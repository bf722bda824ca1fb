//! What simulated people do, and which answers to it are right.

use strum::{IntoStaticStr, VariantArray};
use telemetry::ClosedSet;

use super::client::{Answer, Failure};

/// One thing that a person does: one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// Asks for an account.
    Register,
    /// Follows the link that confirms the address.
    VerifyEmail,
    /// Logs in.
    LogIn,
    /// Logs in with a password that is wrong by a letter.
    MistypePassword,
    /// Gets a new access token.
    RefreshSession,
    /// Logs out.
    LogOut,
    /// Asks for a link that sets a new password.
    RequestPasswordReset,
    /// Follows that link.
    ResetPassword,
    /// Creates an organization.
    CreateOrganization,
    /// Creates a workspace.
    CreateWorkspace,
    /// Invites a colleague.
    InviteColleague,
    /// Follows the link of an invite.
    AcceptInvite,
    /// Drafts a content item.
    DraftContentItem,
    /// Writes another revision.
    EditContentItem,
    /// Puts a draft before the reviewers.
    SubmitContentItem,
    /// Comments.
    Comment,
    /// Decides: may be published.
    Approve,
    /// Decides: needs another revision.
    RequestChanges,
    /// Decides: should not be published.
    Reject,
    /// Sets where a workspace publishes to.
    SetPublishingEndpoint,
    /// Sets the time at which an approved item is to be published.
    ScheduleContentItem,
    /// Has an item published at once, perhaps once more.
    PublishContentItem,
    /// Says that an item was published by hand.
    MarkContentItemPublished,
    /// Puts an item away.
    ArchiveContentItem,
    /// Attaches a picture to an item.
    AttachFile,
    /// Looks at an attachment.
    DownloadAttachment,
    /// Tells the operators that something does not work.
    ReportBug,
    /// Adds a picture of what does not work.
    AddScreenshot,
    /// Tells the operators something else.
    ReportOther,
    /// Looks at the items of a workspace.
    ListContentItems,
    /// Reads one item.
    ReadContentItem,
    /// Looks at the comments on an item.
    ListComments,
    /// Looks at the own organizations.
    ListOrganizations,
    /// Somebody who is not logged in calls.
    CallWithoutToken,
    /// Somebody calls a path that does not exist.
    CallUnknownPath,
}

/// What is to be thought of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It was done.
    Done,
    /// It was refused, as it should be: a wrong password, or somebody else was faster.
    Refused,
    /// It should not be so.
    Unexpected,
}

impl Action {
    /// What is to be thought of an answer to this action.
    pub(super) fn judge(self, answered: &Result<Answer, Failure>) -> Judgement {
        let Ok(answer) = answered else { return Judgement::Unexpected };
        if self.refusals().contains(&answer.status.as_u16()) {
            Judgement::Refused
        } else if answer.status.is_success() && !self.must_be_refused() {
            Judgement::Done
        } else {
            Judgement::Unexpected
        }
    }

    /// The refusals that are part of normal life.
    fn refusals(self) -> &'static [u16] {
        match self {
            Self::MistypePassword => &[401, 429],
            Self::CallWithoutToken => &[401],
            Self::CallUnknownPath => &[404],
            Self::Register | Self::LogIn | Self::RequestPasswordReset | Self::InviteColleague => &[429],
            // Colleagues work on the same items at the same time.
            Self::EditContentItem | Self::AttachFile => &[409, 412],
            Self::SubmitContentItem
            | Self::Approve
            | Self::RequestChanges
            | Self::Reject
            | Self::ScheduleContentItem
            | Self::PublishContentItem
            | Self::MarkContentItemPublished
            | Self::ArchiveContentItem
            | Self::Comment => &[409],
            _ => &[],
        }
    }

    fn must_be_refused(self) -> bool {
        matches!(self, Self::MistypePassword | Self::CallWithoutToken | Self::CallUnknownPath)
    }

    /// Whether it is an attempt to log in with e-mail address and password.
    pub fn is_login_attempt(self) -> bool {
        matches!(self, Self::LogIn | Self::MistypePassword)
    }
}

impl ClosedSet for Action {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use serde_json::Value;

    fn judge(action: Action, status: u16) -> Judgement {
        let status = StatusCode::from_u16(status).expect("a status");
        action.judge(&Ok(Answer { status, etag: None, retry_after: None, body: Value::Null }))
    }

    #[test]
    fn a_refusal_that_belongs_to_the_action_is_no_surprise() {
        assert_eq!(judge(Action::LogIn, 200), Judgement::Done);
        assert_eq!(judge(Action::MistypePassword, 401), Judgement::Refused);
        assert_eq!(judge(Action::EditContentItem, 412), Judgement::Refused);
        assert_eq!(judge(Action::CallUnknownPath, 404), Judgement::Refused);
    }

    #[test]
    fn what_should_not_be_is_unexpected() {
        assert_eq!(judge(Action::LogIn, 401), Judgement::Unexpected);
        assert_eq!(judge(Action::MistypePassword, 200), Judgement::Unexpected);
        assert_eq!(judge(Action::CallWithoutToken, 200), Judgement::Unexpected);
        for action in Action::ALL {
            assert_eq!(judge(*action, 500), Judgement::Unexpected, "{}", action.as_str());
            assert_eq!(judge(*action, 503), Judgement::Unexpected, "{}", action.as_str());
            assert_eq!(action.judge(&Err(Failure::Timeout)), Judgement::Unexpected);
        }
    }
}
