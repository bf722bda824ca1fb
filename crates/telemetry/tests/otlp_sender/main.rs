//! The senders against a collector that works, and against the many that do not.

mod delivery;
mod faults;
mod harness;
mod shutdown;
