//! Configuration: read from flags and environment in one place, checked whole, and reported together.

mod arguments;
mod check;
mod mail;
mod settings;

pub use arguments::{Arguments, Command, ServeArguments};
pub use check::Mistakes;
pub use settings::{DatabaseSettings, ListenSettings, LogOutputSettings, Settings};
