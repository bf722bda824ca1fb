//! Extractors of handlers. Authorisation is one of them: a handler that takes a [`WorkspaceMember`] cannot be
//! reached by anybody else.

mod access;
mod body;
mod client_address;
mod entity_tags;
mod idempotency;
mod if_match;
mod parameters;
mod upload;
mod user;

pub use access::{
    Author, Manager, Member, OrganizationAdmin, OrganizationMember, OrganizationPermission,
    OrganizationRoleAny, Owner, Reviewer, WorkspaceMember, WorkspacePermission,
};
pub use body::Body;
pub use entity_tags::{EntityTags, etag};
pub use idempotency::{Created, IdempotencyKey, Idempotent};
pub use if_match::IfMatch;
pub use parameters::{Parameters, Query};
pub use upload::Upload;
pub use user::{CurrentUser, PlatformOperator};
