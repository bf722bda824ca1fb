//! Tests of the API through its router, with a real database.

mod access;
mod activity;
mod audit;
mod auth;
mod bad_input;
mod content;
mod email_limits;
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
mod quotas;
mod recorded;
mod void_invites;
mod workspace_invites;
mod workspace_members;
mod workspaces;
mod world;
