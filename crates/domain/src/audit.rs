//! Changes of permissions, and of the settings that protect approval. Each one leaves a log line
//! and a row that owners can list.

use serde::Serialize;
use signal::ClosedSet;
use signal::metric::Label;
use strum::{IntoStaticStr, VariantArray};

/// The kinds of recorded changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize)]
#[strum(serialize_all = "snake_case")]
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

impl ClosedSet for AuditAction {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for AuditAction {
    const KEY: &'static str = "audit.action";
}
