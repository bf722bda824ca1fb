//! Socialize: teams draft social-media content and get it approved.
//!
//! Start at [`router`], which lists every route.
#![expect(missing_docs, reason = "only the binary and its tests use this library")]

pub mod activity;
pub mod app;
pub mod audit;
pub mod blobs;
mod causes;
pub mod client_address;
pub mod client_networks;
pub mod clock;
pub mod command;
pub mod config;
mod counts;
pub mod database;
mod database_sessions;
pub mod dead_letters;
mod disks;
pub mod doctor;
pub mod email;
pub mod email_limits;
pub mod erasure;
pub mod error;
pub mod extract;
mod facts;
pub mod fair_queue;
mod finding;
pub mod gauges;
mod hs256;
pub mod interrupts;
#[cfg(feature = "leak-canary")]
mod leak_canary;
mod listener;
pub mod mail;
pub mod memory;
mod migrations;
mod open_files;
pub mod operations;
pub mod operators;
pub mod outbound;
pub mod passwords;
pub mod publishing;
pub mod queue;
pub mod quotas;
pub mod rate_limit;
pub mod requirements;
pub mod router;
pub mod routes;
pub mod sampler;
pub mod schema;
pub mod secret;
pub mod serve;
pub mod signals;
pub mod start;
pub mod text;
pub mod token;
mod unreadable;
mod unsent;
pub mod uploads;
pub mod version;
pub mod webhook;
pub mod workers;
