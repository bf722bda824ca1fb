//! The API through its router, on a real database.

mod activity;
mod content;
mod expire_invites;
mod feedback;
mod organization_members;
mod organizations;
mod workspace_invites;
mod workspace_members;
mod workspaces;
