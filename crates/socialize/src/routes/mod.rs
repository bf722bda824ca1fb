//! One file per resource, with its types, handlers and SQL.

pub mod audit_events;
pub mod auth;
pub mod comments;
pub mod content_items;
pub mod deletion;
pub mod feedback;
mod files;
pub mod health;
pub mod me;
pub mod organization_members;
pub mod organizations;
pub mod page;
pub mod publishing;
pub mod publishing_endpoint;
pub mod screenshots;
pub mod workspace_invites;
pub mod workspace_members;
pub mod workspaces;
