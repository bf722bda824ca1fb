//! Socialize: teams draft social-media content and get it approved.
//!
//! Start at [`run::router`], which lists every route.
#![expect(missing_docs, reason = "only the binary and its tests use this library")]

pub mod app;
pub mod features;
pub mod http;
pub mod platform;
pub mod queue;
pub mod run;
