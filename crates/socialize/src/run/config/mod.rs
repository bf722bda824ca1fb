//! Configuration from flags and environment. It is read in one place and checked as a whole, and
//! all errors are reported together.

mod arguments;
mod blobs;
mod check;
mod database;
mod environment;
mod mail;
mod publishing;
mod settings;

pub use arguments::{
    Arguments, ChosenDeadLetters, Command, DeadLettersCommand, DoctorArguments, GaugesCommand,
    OperatorCommand, ServeArguments,
};
pub use check::Mistakes;
pub use database::DatabaseSettings;
pub(crate) use database::has_unescaped_at;
pub use database::is_postgres;
pub use environment::environment;
pub(crate) use settings::{FEWEST_CONNECTIONS, SECRETS};
pub use settings::{ListenSettings, LogOutputSettings, Settings};
