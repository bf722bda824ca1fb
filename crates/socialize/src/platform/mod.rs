//! The platform of the application: the database, the clock, secrets, and clients of other programs. Each
//! module takes what it needs, such as `&Database`, and knows neither routes nor jobs.

pub mod blobs;
pub(crate) mod causes;
pub mod client_address;
pub mod clock;
pub(crate) mod counts;
pub mod database;
pub(crate) mod disks;
pub mod fair_queue;
pub(crate) mod finding;
pub mod gauges;
pub(crate) mod hs256;
pub mod interrupts;
#[cfg(feature = "leak-canary")]
pub(crate) mod leak_canary;
pub(crate) mod listener;
pub mod mail;
pub mod memory;
pub mod outbound;
pub mod passwords;
pub mod quotas;
pub mod rate_limit;
pub mod sampler;
pub mod secret;
pub mod settings;
pub mod signals;
pub mod text;
pub mod token;
pub mod version;
pub mod webhook;
