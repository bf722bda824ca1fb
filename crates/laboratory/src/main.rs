//! The laboratory: Socialize with its database, console and simulated users, on one machine.
//!
//! It uses the product as a library and as a service, and is not part of it.

mod arguments;
mod demo;
mod settings;
mod simulate;

use std::io;
use std::process::ExitCode;
use std::thread;

use socialize::run::command;

use arguments::{Arguments, Command};
use console::settings::ConsoleArguments;
use nix::sys::signal::{Signal, raise};
use settings::{DemoSettings, SimulateSettings};

fn main() -> ExitCode {
    command::run(async |arguments: Arguments, variables| match arguments.command {
        Command::Demo(arguments) => demo::run(DemoSettings::check(&arguments, &variables)?).await,
        Command::Simulate(arguments) => simulate::run(SimulateSettings::check(&arguments)?).await,
        Command::Console(arguments) => run_console(*arguments).await,
    })
}

/// Runs the console until standard input ends, which it does when the demo exits or is killed.
async fn run_console(arguments: ConsoleArguments) -> anyhow::Result<ExitCode> {
    let settings = command::check_console(arguments)?;
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = raise(Signal::SIGTERM);
    });
    console::run(settings).await?;
    Ok(ExitCode::SUCCESS)
}
