//! Changes of permissions, and of the settings that protect approval. Each one leaves a log line
//! and a row that owners can list.

use serde::Serialize;
use signal::ClosedSet;

/// The kinds of recorded changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[label("audit.action")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum AuditAction {
    /// A user became a member of the organization.
    OrganizationMemberAdded,
    /// A member of the organization got another role.
    OrganizationRoleChanged,
    /// A user is no longer a member of the organization.
    OrganizationMemberRemoved,
    /// A user became a member of a workspace.
    WorkspaceMemberAdded,
    /// A member of a workspace got another role.
    WorkspaceRoleChanged,
    /// A user is no longer a member of a workspace.
    WorkspaceMemberRemoved,
    /// A workspace requires another number of approvals.
    RequiredApprovalsChanged,
    /// A workspace allowed or forbade its members to decide on their own revisions.
    SelfApprovalChanged,
    /// A workspace got a publishing endpoint, or another one.
    PublishingEndpointSet,
    /// A publishing endpoint got a new secret.
    PublishingSecretRotated,
    /// A workspace no longer has a publishing endpoint.
    PublishingEndpointDeleted,
    /// A workspace and everything in it was deleted.
    WorkspaceDeleted,
    /// The organization and everything in it was deleted, including its audit rows. The log line
    /// remains.
    OrganizationDeleted,
    /// A user became an operator of the platform.
    OperatorAdded,
    /// A user is no longer an operator of the platform.
    OperatorRemoved,
    /// A user account was erased.
    UserErased,
}
