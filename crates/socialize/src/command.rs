//! The commands that do one thing and end.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use telemetry::{Telemetry, TelemetrySettings};

use crate::clock::Clock;
use crate::config::{ChosenDeadLetters, DeadLettersCommand, Settings};
use crate::config::{DatabaseSettings, Mistakes};
use crate::database::Database;
use crate::dead_letters::{self, Format, Selection};
use crate::gauges::{self, Difference};
use crate::{operators, start};

/// A mistake in the configuration or on the command line.
const EXIT_MISTAKE: u8 = 2;

/// Prints why a command failed and returns its exit code: 2 for mistakes in the configuration, 1 for everything else.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let is_mistake = error.is::<Mistakes>();
    let text = if is_mistake { error.to_string() } else { format!("Error: {error:#}") };
    // Where standard error is closed nobody is left to be told.
    let _ = writeln!(std::io::stderr(), "{text}");
    if is_mistake { ExitCode::from(EXIT_MISTAKE) } else { ExitCode::FAILURE }
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output cannot be written")
}

/// A database whose operations nobody watches.
fn unwatched(settings: &DatabaseSettings) -> anyhow::Result<Database> {
    let telemetry = Telemetry::new(TelemetrySettings::default());
    Ok(Database::new(start::pool(settings)?, settings.statement_timeout, &telemetry, || false))
}

/// `socialize migrate`
///
/// # Errors
/// When the database cannot be reached or a migration fails.
pub async fn migrate(database: &DatabaseSettings) -> anyhow::Result<()> {
    match start::migrate(database).await? {
        0 => print("The database has the schema of this version already."),
        1 => print("Applied 1 migration."),
        count => print(&format!("Applied {count} migrations.")),
    }
}

/// `socialize operator add`
///
/// # Errors
/// When there is no such user with a confirmed address, or the database fails.
pub async fn add_operator(database: &DatabaseSettings, email: &str) -> anyhow::Result<()> {
    let user_id = operators::add(&unwatched(database)?, email).await?;
    print(&format!("This user is a platform operator: {user_id}"))
}

/// `socialize dead-letters`
///
/// # Errors
/// When there is a mistake in the configuration, no such dead letter, or the database fails.
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
            return dead_letters::retry(&database, &selection(*chosen), Clock::default().now(), format).await;
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
///
/// # Errors
/// When the database fails.
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
///
/// # Errors
/// When the database fails.
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
/// When standard output cannot be written.
pub fn print_openapi() -> anyhow::Result<()> {
    print(&crate::router::document().to_pretty_json()?)
}

/// `socialize healthcheck`
///
/// # Errors
/// When the listener cannot be asked.
pub async fn check_health(address: &str) -> anyhow::Result<ExitCode> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).no_proxy().build()?;
    let url = format!("http://{address}/health/ready");
    let answer =
        client.get(&url).send().await.map_err(|_| anyhow::anyhow!("nothing answers on {address}"))?;
    let is_ready = answer.status() == StatusCode::OK;
    print(if is_ready { "ready" } else { "not ready" })?;
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
