//! The senders against a collector that works, and against the many that do not.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

mod delivery;
mod faults;
mod harness;
mod shutdown;
