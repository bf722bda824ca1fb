//! The API through its router, on a real database.

mod access;
mod activity;
mod auth;
mod bad_input;
mod content;
mod erasure;
mod expire_invites;
mod feedback;
mod files;
mod library_errors;
mod me;
mod operators;
mod organization_members;
mod organizations;
mod publishing_endpoint;
mod recorded;
mod workspace_invites;
mod workspace_members;
mod workspaces;
mod world;
