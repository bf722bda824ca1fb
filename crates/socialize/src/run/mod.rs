//! The processes: configuration, `serve` and `work`, and the commands of operators.

pub mod client_networks;
pub mod command;
pub mod config;
pub mod dead_letters;
pub mod doctor;
pub(crate) mod open_files;
pub mod operations;
pub mod operators;
pub mod router;
pub mod serve;
pub mod start;
pub mod workers;
