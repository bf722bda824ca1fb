//! The senders, against a working collector and against many faulty ones.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

mod delivery;
mod failures;
mod faults;
mod harness;
mod shutdown;
