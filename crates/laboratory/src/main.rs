//! The laboratory: Socialize with everything around it, on one machine.
//!
//! It uses the product as a library and as a service, and is no part of it.

mod arguments;
mod demo;
mod settings;
mod simulate;

use std::process::ExitCode;

use socialize::run::command;

use arguments::{Arguments, Command};
use settings::{DemoSettings, SimulateSettings};

fn main() -> ExitCode {
    command::run(async |arguments: Arguments, variables| match arguments.command {
        Command::Demo(arguments) => demo::run(DemoSettings::check(&arguments, &variables)?).await,
        Command::Simulate(arguments) => simulate::run(SimulateSettings::check(&arguments)?).await,
    })
}
