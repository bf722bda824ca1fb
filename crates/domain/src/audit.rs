//! Changes of who may do what, and of what protects approval: each leaves a row that owners can list, and a line.

use strum::{IntoStaticStr, VariantArray};
use telemetry::ClosedSet;
use telemetry::catalogue::Label;
use utoipa::ToSchema;

/// What was changed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, serde::Serialize, ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum AuditAction {
    /// Somebody became a member of the organization.
    OrganizationMemberAdded,
    /// A member of the organization has another role.
    OrganizationRoleChanged,
    /// Somebody is no member of the organization any more.
    OrganizationMemberRemoved,
    /// Somebody became a member of a workspace.
    WorkspaceMemberAdded,
    /// A member of a workspace has another role.
    WorkspaceRoleChanged,
    /// Somebody is no member of a workspace any more.
    WorkspaceMemberRemoved,
    /// A workspace asks for another number of approvals.
    RequiredApprovalsChanged,
    /// Whether members of a workspace may decide on what they wrote themselves.
    SelfApprovalChanged,
    /// A workspace publishes somewhere, or somewhere else.
    PublishingEndpointSet,
    /// A publishing endpoint has a new secret.
    PublishingSecretRotated,
    /// A workspace publishes nowhere any more.
    PublishingEndpointDeleted,
    /// A workspace and all that it held was deleted.
    WorkspaceDeleted,
    /// The organization and all that it held was deleted. Its rows are gone with it; the line stays.
    OrganizationDeleted,
    /// Somebody operates the platform.
    OperatorAdded,
    /// Somebody does not operate the platform any more.
    OperatorRemoved,
    /// An account was erased.
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
