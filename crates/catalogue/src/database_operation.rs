//! Names of all statements and transaction steps that Socialize sends to its database.

use signal::ClosedSet;
use signal::metric::Label;
use strum::{IntoStaticStr, VariantArray};

/// A named database operation. The name becomes its span's name and its `db.query.summary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "each name is what the operation does, in words")]
pub enum DatabaseOperation {
    // The pool and transactions.
    AcquireConnection,
    BeginTransaction,
    CommitTransaction,
    // Users, sessions and tokens.
    InsertPendingRegistration,
    FindPendingRegistration,
    ConfirmRegistration,
    FindUser,
    UpdateUser,
    UpdateUserPassword,
    UpdateUserOperator,
    BeginLogin,
    ForgetLogin,
    CountEmail,
    CountAction,
    FindClientNetworks,
    LockUser,
    EraseUser,
    ListOperators,
    InsertSession,
    FindSession,
    EndSession,
    EndUserSessions,
    InsertRefreshToken,
    LockRefreshToken,
    UseRefreshToken,
    InsertEmailToken,
    UseEmailToken,
    FindEmailToken,
    // Organizations and workspaces.
    InsertOrganization,
    FindOrganization,
    ListOrganizations,
    DeleteOrganization,
    UpdateOrganization,
    FindOrganizationRole,
    InsertOrganizationMember,
    ListOrganizationMembers,
    UpdateOrganizationMember,
    LockOrganizationMembers,
    DeleteOrganizationMember,
    InsertWorkspace,
    FindWorkspace,
    ListWorkspaces,
    UpdateWorkspace,
    DeleteWorkspace,
    FindWorkspaceAccess,
    InsertWorkspaceMember,
    FindWorkspaceMember,
    ListWorkspaceMembers,
    UpdateWorkspaceMember,
    DeleteWorkspaceMember,
    TouchWorkspace,
    FindWorkspaceInviteLimit,
    InsertWorkspaceInvite,
    ListWorkspaceInvites,
    LockWorkspaceInvite,
    RevokeWorkspaceInvite,
    AcceptWorkspaceInvite,
    ExpireWorkspaceInvites,
    // Audit.
    InsertAuditEvents,
    ListAuditEvents,
    // Content and approval.
    InsertContentItem,
    FindContentItem,
    FindContentItemStatus,
    FindPublishedContentItem,
    LockContentItem,
    ListContentItems,
    UpdateContentItem,
    DeleteContentItem,
    InsertContentRevision,
    ListContentRevisions,
    InsertApprovalDecision,
    ListApprovalDecisions,
    InsertComment,
    ListComments,
    FindComment,
    DeleteComment,
    ListReviewers,
    InsertAttachment,
    ListAttachments,
    FindAttachment,
    CountAttachments,
    DeleteAttachment,
    RemindStaleApprovals,
    // Publishing.
    FindPublishingEndpoint,
    UpsertPublishingEndpoint,
    RotatePublishingSecret,
    DisablePublishingEndpoint,
    RatePublishingEndpoint,
    DeletePublishingEndpoint,
    ListAbandonedDeliveries,
    // Feedback.
    InsertFeedbackReport,
    FindFeedbackReport,
    LockFeedbackReport,
    ListFeedbackReports,
    UpdateFeedbackReport,
    InsertScreenshot,
    FindScreenshot,
    DeleteScreenshot,
    // Blobs.
    InsertUnreferencedBlob,
    UpdateUnreferencedBlob,
    AbandonUnreferencedBlob,
    ListUnreferencedBlobs,
    DeleteUnreferencedBlob,
    // Idempotency.
    InsertIdempotencyKey,
    FindIdempotencyKey,
    CompleteIdempotencyKey,
    // The job queue.
    EnqueueJob,
    RecoverExpiredJobs,
    ClaimJobs,
    ExtendJobLease,
    FinishJob,
    RetryJob,
    BuryJob,
    HandBackJob,
    SchedulePeriodicJobs,
    ListDeadJobs,
    FindDeadJob,
    RetryDeadJobs,
    DiscardDeadJobs,
    LockSampler,
    KeepSamplerLock,
    SampleQueue,
    CleanUpExpired,
    // Gauges.
    SampleGauges,
    FoldGauges,
    CompareGauges,
    RepairGauges,
    // E-mails.
    FindEmailRecipient,
    LockEmailRecipient,
    FindEmailLimits,
    InsertEmailLedger,
}

impl ClosedSet for DatabaseOperation {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for DatabaseOperation {
    const KEY: &'static str = "db.query.summary";
}
