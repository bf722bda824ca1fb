//! Actions of simulated people, and the responses that are expected.

use telemetry::ClosedSet;

use super::client::{Answer, Failure};

/// One action of a person, which is one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ClosedSet)]
pub(crate) enum Action {
    Register,
    /// Opens the link that confirms the address.
    VerifyEmail,
    /// Logs in with the right password.
    LogIn,
    /// Logs in with one wrong letter in the password.
    MistypePassword,
    /// Renews the access token.
    RefreshSession,
    LogOut,
    /// Requests a link that sets a new password.
    RequestPasswordReset,
    /// Opens that link and sets a new password.
    ResetPassword,
    /// Creates the team's organization.
    CreateOrganization,
    /// Creates a workspace for a brand.
    CreateWorkspace,
    /// Invites a colleague into a workspace.
    InviteColleague,
    /// Opens the link of an invite.
    AcceptInvite,
    DraftContentItem,
    /// Writes another revision.
    EditContentItem,
    /// Submits a draft to the reviewers.
    SubmitContentItem,
    /// Comments on an item.
    Comment,
    /// Approves the current revision.
    Approve,
    /// Requests another revision.
    RequestChanges,
    Reject,
    /// Sets the publishing endpoint of a workspace.
    SetPublishingEndpoint,
    /// Sets the time at which an approved item is to be published.
    ScheduleContentItem,
    /// Has an item published immediately, or retries that.
    PublishContentItem,
    /// Records that an item was published by hand.
    MarkContentItemPublished,
    /// Puts an item into the archive, where it stays.
    ArchiveContentItem,
    /// Attaches an image to an item.
    AttachFile,
    /// Downloads the newest attachment of an item.
    DownloadAttachment,
    /// Reports a bug to the operators.
    ReportBug,
    /// Adds a screenshot to a bug report.
    AddScreenshot,
    /// Sends other feedback to the operators.
    ReportOther,
    /// Lists the items of a workspace.
    ListContentItems,
    /// Fetches one item with its current version.
    ReadContentItem,
    /// Lists the comments on an item.
    ListComments,
    /// Lists the caller's organizations.
    ListOrganizations,
    /// A stranger calls without an access token.
    CallWithoutToken,
    /// A stranger calls a path that does not exist.
    CallUnknownPath,
}

/// Assessment of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Done,
    /// The action was rejected as expected, because of a wrong password or a concurrent change.
    Refused,
    /// The response is wrong for this action.
    Unexpected,
}

impl Action {
    /// Assesses a response to this action.
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

    /// Returns the statuses of rejections that occur in normal use.
    fn refusals(self) -> &'static [u16] {
        match self {
            Self::MistypePassword => &[401, 429],
            Self::CallWithoutToken => &[401],
            Self::CallUnknownPath => &[404],
            Self::Register | Self::LogIn | Self::RequestPasswordReset | Self::InviteColleague => &[429],
            // Colleagues work on the same items concurrently.
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

    /// Returns whether this is an attempt to log in with e-mail address and password.
    pub(crate) fn is_login_attempt(self) -> bool {
        matches!(self, Self::LogIn | Self::MistypePassword)
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
