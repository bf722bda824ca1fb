//! Commands that run once and exit.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use console::settings::ConsoleArguments;
use domain::ids::UserId;
use http::StatusCode;
use telemetry::{Telemetry, TelemetrySettings};
use uuid::Uuid;

use crate::features::erasure::{self, Succession};
use crate::platform::clock::Clock;
use crate::platform::database::Database;
use crate::platform::gauges::{self, Difference};
use crate::platform::mail;
use crate::platform::memory;
use crate::platform::text::EmailAddress;
use crate::run::config::{self, ChosenDeadLetters, DeadLettersCommand, OperatorCommand, Settings};
use crate::run::config::{DatabaseSettings, Mistakes};
use crate::run::dead_letters::{self, Format, Selection};
use crate::run::operators::{self, Operator};
use crate::run::start;

/// Exit code for errors in the configuration or on the command line.
const EXIT_MISTAKE: u8 = 2;

/// Parses the command line, runs the command, and returns the exit code of the process. `work` gets the
/// arguments and the environment.
pub fn run<A: Parser>(
    work: impl AsyncFnOnce(A, Vec<(String, String)>) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    memory::give_back_large_blocks();
    // Before parsing flags, which read the environment as well.
    let variables = match config::environment() {
        Ok(variables) => variables,
        Err(mistakes) => return report(&mistakes.into()),
    };
    let arguments = A::parse();
    // The process's only cryptography provider. Installing fails only if it is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&anyhow::Error::from(error)),
    };
    let result = runtime.block_on(work(arguments, variables));
    // Blocking tasks that still run must not delay the exit.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| report(&error))
}

/// Prints the error of a command and returns its exit code: 2 for configuration errors, 1 for all others.
fn report(error: &anyhow::Error) -> ExitCode {
    let is_mistake = error.is::<Mistakes>();
    let text = if is_mistake { error.to_string() } else { format!("Error: {error:#}") };
    // If standard error is closed, the message is lost.
    let _ = writeln!(std::io::stderr(), "{text}");
    if is_mistake { ExitCode::from(EXIT_MISTAKE) } else { ExitCode::FAILURE }
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output cannot be written")
}

/// Connects to a database without recording its operations.
fn unwatched(settings: &DatabaseSettings) -> anyhow::Result<Database> {
    let telemetry = Telemetry::new(TelemetrySettings::default());
    Ok(Database::new(start::pool(settings)?, settings.limits.statement_timeout, &telemetry, || false))
}

/// `socialize migrate`
///
/// # Errors
/// Returns an error if the database cannot be reached or a migration fails.
pub async fn migrate(database: &DatabaseSettings) -> anyhow::Result<()> {
    match start::migrate(database).await? {
        0 => print("The database has the schema of this version already."),
        1 => print("Applied 1 migration."),
        count => print(&format!("Applied {count} migrations.")),
    }
}

/// `socialize operator`
///
/// # Errors
/// Returns an error if there is a mistake in the configuration, no such user or operator, or the database
/// fails.
pub async fn manage_operators(
    command: OperatorCommand,
    variables: &[(String, String)],
) -> anyhow::Result<ExitCode> {
    let database = |settings| unwatched(&Settings::check_database(settings, variables)?);
    let now = Clock::default().now();
    match command {
        OperatorCommand::Add { email, settings } => {
            let user_id = operators::add(&database(&settings)?, &email, now).await?;
            print(&format!("This user is a platform operator: {user_id}"))?;
        }
        OperatorCommand::Remove { email, settings } => {
            let user_id = operators::remove(&database(&settings)?, &email, now).await?;
            print(&format!("This user is no platform operator any more: {user_id}"))?;
        }
        OperatorCommand::List { settings } => {
            let operators = operators::list(&database(&settings)?).await?;
            if operators.is_empty() {
                print("There are no platform operators: `socialize operator add` creates one.")?;
            }
            for Operator { id, email, since } in operators {
                let since =
                    since.map_or_else(|| "unknown".to_owned(), |since| since.format("%Y-%m-%d").to_string());
                print(&format!("{id}  since {since:<10}  {email}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `socialize erase-user`
///
/// # Errors
/// Returns an error if it is neither an address nor the id of an account, or the database fails.
pub async fn erase_user(
    settings: &DatabaseSettings,
    mail_directory: Option<&str>,
    user: &str,
) -> anyhow::Result<()> {
    let (database, now) = (unwatched(settings)?, Clock::default().now());
    let mut transaction = database.begin().await?;
    let (user_id, address) = match user.parse::<Uuid>() {
        Ok(id) => (Some(UserId::from(id)), None),
        Err(_) => {
            let address = EmailAddress::parse(user)
                .map_err(|problem| anyhow::anyhow!("the person's address {problem}"))?;
            (operators::find_user(&database, &mut transaction, &address).await?, Some(address))
        }
    };
    let mut address = address.map(|address| address.as_str().to_owned());
    let mut name = String::new();
    if let Some(user_id) = user_id {
        let succession = Succession::Promote;
        let erased = erasure::erase_user(&database, &mut transaction, user_id, None, succession, now).await?;
        let done = if erased.address.is_some() { "is erased" } else { "was erased before" };
        print(&format!("The account {done}: {user_id}"))?;
        name = erased.name.unwrap_or_default();
        address = erased.address.or(address);
    } else {
        let address = address.as_deref().unwrap_or_default();
        let rows = erasure::erase_address(&database, &mut transaction, address, now).await?;
        print(&format!("No account has this address. It was removed from {rows} other rows."))?;
    }
    database.commit(transaction).await?;
    if let (Some(directory), Some(address)) = (mail_directory, address) {
        let emails = mail::forget_in(Path::new(directory), &address, &name);
        print(&format!("{emails} e-mails in {directory} named the person and are deleted."))?;
    }
    print("Backups and sent e-mails still name the person. docs/PRIVACY.md describes logs and traces.")
}

/// `socialize dead-letters`
///
/// # Errors
/// Returns an error if there is a mistake in the configuration, no such dead letter, or the database fails.
pub async fn manage_dead_letters(
    command: DeadLettersCommand,
    variables: &[(String, String)],
) -> anyhow::Result<ExitCode> {
    let format = |json: bool| if json { Format::Json } else { Format::Text };
    let database = |settings| unwatched(&Settings::check_database(settings, variables)?);
    match command {
        DeadLettersCommand::List { kind, limit, json, settings } => {
            dead_letters::list(&database(&settings)?, kind, limit, format(json)).await?;
        }
        DeadLettersCommand::Show { id, json, settings } => {
            dead_letters::show(&database(&settings)?, id, format(json)).await?;
        }
        DeadLettersCommand::Retry(chosen) => {
            let (database, format) = (database(&chosen.settings)?, format(chosen.json));
            return dead_letters::retry(&database, &selection(*chosen), format).await;
        }
        DeadLettersCommand::Discard(chosen) => {
            let (database, format) = (database(&chosen.settings)?, format(chosen.json));
            return dead_letters::discard(&database, &selection(*chosen), format).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn selection(chosen: ChosenDeadLetters) -> Selection {
    if chosen.all { Selection::All(chosen.kind) } else { Selection::Ids(chosen.ids) }
}

/// `socialize gauges check`
pub async fn check_gauges(settings: &DatabaseSettings) -> anyhow::Result<ExitCode> {
    let mut connection = start::connect(settings, gauges::COMPARISON_LIMIT).await?;
    let database = unwatched(settings)?;
    let differences = gauges::compare(&database, &mut connection).await?;
    if differences.is_empty() {
        print("Every count equals its table.")?;
        return Ok(ExitCode::SUCCESS);
    }
    print_differences(&differences)?;
    print("\nThese counts differ from their tables. `socialize gauges repair` makes them equal.")?;
    Ok(ExitCode::FAILURE)
}

/// `socialize gauges repair`
pub async fn repair_gauges(settings: &DatabaseSettings) -> anyhow::Result<()> {
    let mut connection = start::connect(settings, gauges::COMPARISON_LIMIT).await?;
    let database = unwatched(settings)?;
    let differences = gauges::repair(&database, &mut connection).await?;
    if differences.is_empty() {
        return print("Every count equals its table: there is nothing to repair.");
    }
    print_differences(&differences)?;
    print("\nRepaired: every count equals its table.")
}

fn print_differences(differences: &[Difference]) -> anyhow::Result<()> {
    print(&format!("{:<18} {:<18} {:>12} {:>12}", "gauge", "status", "table", "counted"))?;
    for Difference { gauge, status, actual, counted } in differences {
        print(&format!("{gauge:<18} {status:<18} {actual:>12} {counted:>12}"))?;
    }
    Ok(())
}

/// `socialize openapi`
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub fn print_openapi() -> anyhow::Result<()> {
    print(&crate::run::router::document().to_pretty_json()?)
}

/// Checks the settings of `socialize console`.
///
/// # Errors
/// Returns all errors.
pub fn check_console(arguments: ConsoleArguments) -> Result<console::settings::Settings, Mistakes> {
    console::settings::Settings::try_from(arguments).map_err(|errors| {
        let mut mistakes = Mistakes::default();
        for error in &errors.0 {
            let (setting, problem) = error.split_once(": ").unwrap_or(("console", error));
            mistakes.add(setting, problem);
        }
        mistakes
    })
}

/// `socialize healthcheck`
///
/// # Errors
/// Returns an error if the listener does not respond.
pub async fn check_health(address: &str) -> anyhow::Result<ExitCode> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).no_proxy().build()?;
    let url = format!("http://{address}/health/ready");
    let response =
        client.get(&url).send().await.map_err(|_| anyhow::anyhow!("no response from {address}"))?;
    let is_ready = response.status() == StatusCode::OK;
    print(if is_ready { "ready" } else { "not ready" })?;
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
