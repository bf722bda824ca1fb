//! The console: dashboards, alerts, log lines and traces in a browser, without Docker.
//!
//! A process of its own receives the OTLP export of the application and follows its log files. It
//! keeps both in a store of bounded size, evaluates the rules and panels of `monitoring`, and
//! renders pages on the server.
//!
//! ```text
//! receive ─► store::metrics ─► evaluate ─► rules, pages
//!         ─► store::spans   ─────────────► pages
//! follow  ─► store::lines   ─────────────► pages
//! ```
#![expect(missing_docs, reason = "only the binaries and the tests of this repository use this library")]

pub mod access;
pub mod calendar;
pub mod chart;
mod clocks;
mod data_directory;
pub mod evaluate;
pub mod follow;
mod keep;
mod listener;
mod memory;
pub mod pages;
pub mod receive;
pub mod rules;
mod run;
pub mod settings;
pub mod state;
pub mod store;

pub use listener::serve;
pub use run::run;
pub use settings::{ConfigurationErrors, ConsoleArguments, Settings};
