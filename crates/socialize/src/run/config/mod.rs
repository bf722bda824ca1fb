//! Configuration from flags and environment. It is read in one place and checked as a whole, and
//! all errors are reported together.

mod arguments;
mod blobs;
mod check;
mod database;
mod environment;
mod given;
mod listen;
mod log;
mod mail;
mod process;
mod serve_arguments;
mod settings;

pub use arguments::{
    Arguments, ChosenDeadLetters, Command, DeadLettersCommand, DoctorArguments, GaugesCommand,
    OperatorCommand,
};
pub use check::Mistakes;
pub(crate) use database::has_unescaped_at;
pub use database::is_postgres;
pub use database::{DatabaseLimits, DatabaseSettings};
pub use environment::environment;
pub use given::Given;
pub(crate) use listen::FEWEST_CONNECTIONS;
pub use listen::ListenSettings;
pub use log::LogOutputSettings;
pub use process::ProcessSettings;
pub use serve_arguments::ServeArguments;
pub(crate) use settings::SECRETS;
pub use settings::Settings;
