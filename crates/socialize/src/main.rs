//! The binary: dispatches to the subcommands.

use std::process::ExitCode;

use catalogue::labels::Role;
use clap::Parser;
use nix::sys::stat::{Mode, umask};
use socialize::command;
use socialize::config::{self, Arguments, Command, DemoSettings, GaugesCommand, Settings, SimulateSettings};
use socialize::memory;

fn main() -> ExitCode {
    memory::give_back_large_blocks();
    // Before parsing flags, which read the environment as well.
    let variables = match config::environment() {
        Ok(variables) => variables,
        Err(mistakes) => return command::report(&mistakes.into()),
    };
    let arguments = Arguments::parse();
    // The process's only cryptography provider. Installing fails only if it is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return command::report(&anyhow::Error::from(error)),
    };
    let result = runtime.block_on(run(arguments.command, &variables));
    // Blocking tasks that still run must not delay the exit.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => command::report(&error),
    }
}

async fn run(command: Command, variables: &[(String, String)]) -> anyhow::Result<ExitCode> {
    if matches!(command, Command::Serve(_) | Command::Work(_)) {
        // Uploads are private to this user. The log writer sets wider permissions for log files itself.
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
    }
    match command {
        Command::Serve(arguments) => {
            return socialize::serve::run(Settings::check(&arguments, variables)?, Role::Serve).await;
        }
        Command::Work(arguments) => {
            return socialize::serve::run(Settings::check(&arguments, variables)?, Role::Work).await;
        }
        Command::Migrate(arguments) => {
            let database = Settings::check_database(&arguments, variables)?;
            command::migrate(&database).await?;
        }
        Command::Demo(arguments) => {
            return socialize::demo::run(DemoSettings::check(&arguments, variables)?).await;
        }
        Command::Simulate(arguments) => {
            return socialize::simulate::run(SimulateSettings::check(&arguments)?).await;
        }
        Command::Operator { command } => return command::manage_operators(command, variables).await,
        Command::EraseUser { user, settings } => {
            let database = Settings::check_database(&settings, variables)?;
            command::erase_user(&database, settings.mail_directory.as_deref(), &user).await?;
        }
        Command::DeadLetters { command } => return command::manage_dead_letters(command, variables).await,
        Command::Gauges { command: GaugesCommand::Check { settings } } => {
            return command::check_gauges(&Settings::check_database(&settings, variables)?).await;
        }
        Command::Gauges { command: GaugesCommand::Repair { settings } } => {
            command::repair_gauges(&Settings::check_database(&settings, variables)?).await?;
        }
        Command::Doctor(arguments) => return socialize::doctor::run(&arguments, variables).await,
        Command::Openapi => command::print_openapi()?,
        Command::Healthcheck { operations_listen } => return command::check_health(&operations_listen).await,
    }
    Ok(ExitCode::SUCCESS)
}
