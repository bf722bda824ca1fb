//! The binary: dispatches to the subcommands.

use std::process::ExitCode;

use catalogue::labels::Role;
use nix::sys::stat::{Mode, umask};
use socialize::run::command;
use socialize::run::config::{Arguments, Command, GaugesCommand, Settings};

fn main() -> ExitCode {
    command::run(async |arguments: Arguments, variables| run(arguments.command, &variables).await)
}

async fn run(command: Command, variables: &[(String, String)]) -> anyhow::Result<ExitCode> {
    if matches!(command, Command::Serve(_) | Command::Work(_) | Command::Console(_)) {
        // Uploads and telemetry are private to this user. The log writer sets wider permissions for log files itself.
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
    }
    match command {
        Command::Serve(arguments) => {
            return socialize::run::serve::run(Settings::check(&arguments, variables)?, Role::Serve).await;
        }
        Command::Work(arguments) => {
            return socialize::run::serve::run(Settings::check(&arguments, variables)?, Role::Work).await;
        }
        Command::Migrate(arguments) => {
            let database = Settings::check_database(&arguments, variables)?;
            command::migrate(&database).await?;
        }
        Command::Operator { command } => return command::manage_operators(command, variables).await,
        Command::EraseUser { user, settings } => {
            let database = Settings::check_database(&settings, variables)?;
            command::erase_user(&database, settings.text("SOCIALIZE_MAIL_DIRECTORY"), &user).await?;
        }
        Command::DeadLetters { command } => return command::manage_dead_letters(command, variables).await,
        Command::Gauges { command: GaugesCommand::Check { settings } } => {
            return command::check_gauges(&Settings::check_database(&settings, variables)?).await;
        }
        Command::Gauges { command: GaugesCommand::Repair { settings } } => {
            command::repair_gauges(&Settings::check_database(&settings, variables)?).await?;
        }
        Command::Doctor(arguments) => return socialize::run::doctor::run(&arguments, variables).await,
        Command::Console(arguments) => console::run(command::check_console(*arguments)?).await?,
        Command::Openapi => command::print_openapi()?,
        Command::Healthcheck { operations_listen } => return command::check_health(&operations_listen).await,
    }
    Ok(ExitCode::SUCCESS)
}
