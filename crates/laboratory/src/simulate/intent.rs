//! Intents of simulated people.

use domain::vocabulary::{Decision, FeedbackKind};
use socialize::platform::secret::Secret;
use uuid::Uuid;

use super::action::Action;

/// The indexes of an item's workspace within its team, and of the item within the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ItemPosition {
    pub workspace: usize,
    pub item: usize,
}

/// An intended action with its parameters. The variants correspond to those of [`Action`].
#[derive(Clone)]
pub(super) enum Intent {
    Register,
    VerifyEmail {
        token: Secret,
    },
    LogIn,
    MistypePassword,
    RefreshSession,
    LogOut,
    RequestPasswordReset,
    ResetPassword {
        token: Secret,
    },
    CreateOrganization,
    CreateWorkspace,
    InviteColleague {
        /// Index within the team.
        workspace: usize,
        /// Index within the team.
        colleague: usize,
    },
    AcceptInvite {
        token: Secret,
    },
    DraftContentItem {
        workspace: usize,
    },
    EditContentItem(ItemPosition),
    SubmitContentItem(ItemPosition),
    Comment(ItemPosition),
    Decide(ItemPosition, Decision),
    SetPublishingEndpoint {
        workspace: usize,
    },
    ScheduleContentItem(ItemPosition),
    PublishContentItem(ItemPosition),
    MarkContentItemPublished(ItemPosition),
    ArchiveContentItem(ItemPosition),
    AttachFile(ItemPosition),
    DownloadAttachment(ItemPosition),
    AddScreenshot {
        report: Uuid,
    },
    ReportFeedback(FeedbackKind),
    ListContentItems {
        workspace: usize,
    },
    ReadContentItem(ItemPosition),
    ListComments(ItemPosition),
    ListOrganizations,
    CallWithoutToken,
    CallUnknownPath,
}

impl Intent {
    /// Returns the kind of action for counting.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Register => Action::Register,
            Self::VerifyEmail { .. } => Action::VerifyEmail,
            Self::LogIn => Action::LogIn,
            Self::MistypePassword => Action::MistypePassword,
            Self::RefreshSession => Action::RefreshSession,
            Self::LogOut => Action::LogOut,
            Self::RequestPasswordReset => Action::RequestPasswordReset,
            Self::ResetPassword { .. } => Action::ResetPassword,
            Self::CreateOrganization => Action::CreateOrganization,
            Self::CreateWorkspace => Action::CreateWorkspace,
            Self::InviteColleague { .. } => Action::InviteColleague,
            Self::AcceptInvite { .. } => Action::AcceptInvite,
            Self::DraftContentItem { .. } => Action::DraftContentItem,
            Self::EditContentItem(_) => Action::EditContentItem,
            Self::SubmitContentItem(_) => Action::SubmitContentItem,
            Self::Comment(_) => Action::Comment,
            Self::Decide(_, Decision::Approve) => Action::Approve,
            Self::Decide(_, Decision::RequestChanges) => Action::RequestChanges,
            Self::Decide(_, Decision::Reject) => Action::Reject,
            Self::SetPublishingEndpoint { .. } => Action::SetPublishingEndpoint,
            Self::ScheduleContentItem(_) => Action::ScheduleContentItem,
            Self::PublishContentItem(_) => Action::PublishContentItem,
            Self::MarkContentItemPublished(_) => Action::MarkContentItemPublished,
            Self::ArchiveContentItem(_) => Action::ArchiveContentItem,
            Self::AttachFile(_) => Action::AttachFile,
            Self::DownloadAttachment(_) => Action::DownloadAttachment,
            Self::AddScreenshot { .. } => Action::AddScreenshot,
            Self::ReportFeedback(FeedbackKind::Bug) => Action::ReportBug,
            Self::ReportFeedback(_) => Action::ReportOther,
            Self::ListContentItems { .. } => Action::ListContentItems,
            Self::ReadContentItem(_) => Action::ReadContentItem,
            Self::ListComments(_) => Action::ListComments,
            Self::ListOrganizations => Action::ListOrganizations,
            Self::CallWithoutToken => Action::CallWithoutToken,
            Self::CallUnknownPath => Action::CallUnknownPath,
        }
    }

    /// Returns whether the request creates something. Clients give such requests an idempotency
    /// key, so that they can be retried.
    pub(super) fn creates(&self) -> bool {
        matches!(
            self,
            Self::CreateOrganization
                | Self::CreateWorkspace
                | Self::InviteColleague { .. }
                | Self::DraftContentItem { .. }
                | Self::Comment(_)
                | Self::AttachFile(_)
                | Self::Decide(..)
                | Self::ReportFeedback(_)
        )
    }
}
