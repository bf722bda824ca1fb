//! One file per background service.

pub mod expire_invites;
