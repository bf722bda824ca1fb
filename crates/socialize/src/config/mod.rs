//! Configuration: read from flags and environment in one place, checked whole, and reported together.

mod arguments;
mod check;
mod environment;
mod mail;
mod settings;

pub use arguments::{Arguments, Command, ServeArguments};
pub use check::Mistakes;
pub use environment::environment;
pub use settings::{DatabaseSettings, ListenSettings, LogOutputSettings, Settings};
