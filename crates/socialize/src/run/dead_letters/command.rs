//! `socialize dead-letters`: tables for people, JSON for programs.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use catalogue::labels::JobKind;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::ids::JobId;
use serde_json::{Value, json};

use super::{DeadLetter, Selection, delete, find, find_newest, give_back};
use crate::platform::database::Database;

/// Output format of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Prints the newest dead letters.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(
    database: &Database,
    kind: Option<JobKind>,
    limit: i64,
    format: Format,
) -> anyhow::Result<()> {
    let (letters, count) = find_newest(database, kind, limit).await?;
    match format {
        Format::Json => {
            let letters: Vec<Value> = letters.iter().map(to_json).collect();
            print_json(&json!({"count": count, "dead_letters": letters}))
        }
        Format::Text if letters.is_empty() => print("There are no dead letters."),
        Format::Text => {
            print(&format!(
                "{:<36}  {:<24} {:>8}  {:<20}  {:<20}  error",
                "id", "kind", "attempts", "enqueued", "given up"
            ))?;
            for letter in &letters {
                let DeadLetter { id, kind, attempts, max_attempts, .. } = letter;
                let (created_at, died_at) = (time(letter.created_at), time(letter.died_at));
                let error = letter.error_type.as_deref().unwrap_or("-");
                let attempts = format!("{attempts}/{max_attempts}");
                print(&format!("{id}  {kind:<24} {attempts:>8}  {created_at}  {died_at}  {error}"))?;
            }
            let shown = letters.len() as i64;
            if shown < count { print(&format!("\nThe newest {shown} of {count}.")) } else { Ok(()) }
        }
    }
}

/// Prints one dead letter.
///
/// # Errors
/// Returns an error if there is no such dead letter, or if the database fails.
pub async fn show(database: &Database, id: JobId, format: Format) -> anyhow::Result<()> {
    let Some(letter) = find(database, id).await? else {
        bail!("no dead letter has the id {id}; `socialize dead-letters list` shows those that there are");
    };
    if format == Format::Json {
        return print_json(&to_json(&letter));
    }
    let attempts = format!("{} of {}", letter.attempts, letter.max_attempts);
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for (name, value) in [
        ("id", letter.id.to_string()),
        ("kind", letter.kind.clone()),
        ("attempts", attempts),
        ("enqueued", time(letter.created_at)),
        ("given up", time(letter.died_at)),
        ("error", or_none(&letter.error_type)),
        ("trace id", or_none(&letter.trace_id)),
    ] {
        print(&format!("{name:<10}{value}"))?;
    }
    Ok(())
}

/// Puts the selected jobs back into the queue. The exit code is 1 if one of the given ids could not
/// be put back.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn retry(database: &Database, selection: &Selection, format: Format) -> anyhow::Result<ExitCode> {
    let chosen = give_back(database, selection).await?;
    let (given_back, superseded): (Vec<_>, Vec<_>) = chosen.iter().partition(|(_, went)| *went);
    let ids = |chosen: Vec<&(JobId, bool)>| chosen.into_iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let (given_back, superseded) = (ids(given_back), ids(superseded));
    let found: Vec<JobId> = chosen.iter().map(|(id, _)| *id).collect();
    let unknown = unknown(selection, &found);
    match format {
        Format::Json => {
            print_json(&json!({"retried": given_back, "superseded": superseded, "unknown": unknown}))?;
        }
        Format::Text => {
            print(&format!("Given back to the queue: {}.", given_back.len()))?;
            for id in &superseded {
                print(&format!("{id} stays: the same work waits or runs already. It can be discarded."))?;
            }
            print_unknown(&unknown)?;
        }
    }
    Ok(exit_code(selection, superseded.len() + unknown.len()))
}

/// Deletes the selected jobs. The exit code is 1 if one of the given ids does not exist.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn discard(database: &Database, selection: &Selection, format: Format) -> anyhow::Result<ExitCode> {
    let discarded = delete(database, selection).await?;
    let unknown = unknown(selection, &discarded);
    match format {
        Format::Json => print_json(&json!({"discarded": discarded, "unknown": unknown}))?,
        Format::Text => {
            print(&format!("Discarded: {}.", discarded.len()))?;
            print_unknown(&unknown)?;
        }
    }
    Ok(exit_code(selection, unknown.len()))
}

/// Returns the given ids that are not dead letters.
fn unknown(selection: &Selection, found: &[JobId]) -> Vec<JobId> {
    let named = selection.ids().unwrap_or_default();
    named.iter().filter(|id| !found.contains(id)).copied().collect()
}

fn print_unknown(unknown: &[JobId]) -> anyhow::Result<()> {
    unknown.iter().try_for_each(|id| print(&format!("{id} is no dead letter.")))
}

/// Returns the exit code. A selection of all jobs always succeeds.
fn exit_code(selection: &Selection, left: usize) -> ExitCode {
    let is_failure = left > 0 && selection.ids().is_some();
    if is_failure { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn to_json(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "kind": letter.kind,
        "attempts": letter.attempts,
        "max_attempts": letter.max_attempts,
        "created_at": letter.created_at,
        "died_at": letter.died_at,
        "error_type": letter.error_type,
        "trace_id": letter.trace_id,
    })
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output cannot be written")
}
