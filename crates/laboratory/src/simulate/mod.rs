//! Simulated teams that use Socialize over HTTP and e-mail like real users, for the demo and for
//! load on any Socialize that may be driven.
//!
//! Actions are due at a fixed rate, whether or not earlier ones have been answered. This is an open
//! loop, as with real users, but the number of concurrent actions is limited. `team` chooses the
//! next action and processes its response; everything that waits is in `simulation`.

mod action;
mod client;
mod command;
mod intent;
mod item;
mod mailbox;
mod people;
mod requests;
mod simulation;
mod tally;
mod target;
mod team;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use command::{run, summary, write_report};
pub(crate) use simulation::{Simulation, SimulationSettings};
pub(crate) use tally::{Driven, Tally};
pub(crate) use target::Target;
pub(crate) use team::GONE_ENDPOINT;
