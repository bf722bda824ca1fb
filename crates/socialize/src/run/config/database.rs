//! The settings of the database.

use std::time::Duration;

use clap::{ArgAction, Args};
use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::check::Mistakes;
use crate::platform::secret::Secret;
use crate::platform::settings::{TIME_LIMIT, boolean, duration, number};

/// Connection settings of Postgres.
pub struct DatabaseSettings {
    /// Connection URL, which contains a password.
    pub url: Secret,
    /// Its other settings.
    pub limits: DatabaseLimits,
}

/// Connection settings of Postgres, as they are given.
#[derive(Args)]
pub(super) struct DatabaseArguments {
    /// Postgres (15 to 18), e.g. postgres://socialize@localhost/socialize (required)
    #[arg(long, value_name = "URL", env = "SOCIALIZE_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// File that holds the database URL
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_DATABASE_URL_FILE")]
    database_url_file: Option<String>,
    #[command(flatten)]
    limits: DatabaseLimits,
}

/// Settings of the database besides its URL.
#[derive(Args)]
pub struct DatabaseLimits {
    /// Maximum number of connections to the database
    #[arg(id = "database_connections", long = "database-connections", value_name = "NUMBER")]
    #[arg(env = "SOCIALIZE_DATABASE_CONNECTIONS", default_value = "10", value_parser = number::<u32>(2..=1_000))]
    pub connections: u32,
    /// Maximum time that a request waits for a database connection
    #[arg(
        long = "database-acquire-timeout",
        value_name = "DURATION",
        env = "SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT"
    )]
    #[arg(default_value = "2s", value_parser = duration(TIME_LIMIT))]
    pub acquire_timeout: Duration,
    /// Maximum duration of a statement
    #[arg(long = "database-statement-timeout", value_name = "DURATION")]
    #[arg(env = "SOCIALIZE_DATABASE_STATEMENT_TIMEOUT", default_value = "10s", value_parser = duration(TIME_LIMIT))]
    pub statement_timeout: Duration,
    /// Run on a database that a newer version has migrated, to go back to this version: true or
    /// false
    #[arg(long = "database-may-be-newer", value_name = "BOOL", env = "SOCIALIZE_DATABASE_MAY_BE_NEWER")]
    #[arg(default_value = "false", value_parser = boolean, action = ArgAction::Set)]
    pub may_be_newer: bool,
}

const URL: &str = "SOCIALIZE_DATABASE_URL";

pub(super) fn database(mistakes: &mut Mistakes, arguments: DatabaseArguments) -> Option<DatabaseSettings> {
    let (value, file) = (arguments.database_url.as_deref(), arguments.database_url_file.as_deref());
    let url = mistakes.secret(URL, value, file);
    match &url {
        None if value.is_none() && file.is_none() => {
            mistakes.add(URL, "is required, e.g. postgres://socialize@localhost/socialize");
        }
        Some(url) => {
            if let Some(problem) = problem(url) {
                mistakes.add(URL, problem);
            }
        }
        None => {}
    }
    url.map(|url| DatabaseSettings { url, limits: arguments.limits })
}

/// Returns what is wrong with a URL. Does not quote it, because it contains a password.
fn problem(url: &Secret) -> Option<String> {
    if let Some(character) = unescaped(url.expose()) {
        let code = u32::from(character);
        return Some(format!(
            "its password seems to contain an unescaped {character}, which ends the part that a password can be in; \
             write %{code:02X} instead"
        ));
    }
    if !is_postgres(url) {
        return Some("is not a URL such as postgres://user@host/database".to_owned());
    }
    if url.expose().parse::<PgConnectOptions>().is_err() {
        let right = "has an option with an unknown value; sslmode is one of disable, allow, prefer, require, \
                     verify-ca, verify-full";
        return Some(right.to_owned());
    }
    None
}

/// Returns whether it is a PostgreSQL URL.
pub fn is_postgres(url: &Secret) -> bool {
    Url::parse(url.expose()).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql"))
}

/// Options in a URL whose values may contain an @.
const OPTIONS: &[&str] = &["user", "password", "dbname", "application_name", "options", "host"];

/// Returns the unescaped character that ends a password early. It ends the authority of the URL, so that the
/// rest of the password becomes a path and its beginning a port. An @ after the authority reveals this.
fn unescaped(url: &str) -> Option<char> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#'])?;
    let (authority, behind) = rest.split_at(end);
    let (delimiter, behind) = (behind.chars().next()?, &behind[1..]);
    let before_at = &behind[..behind.find('@')?];
    // For example ?user=name@tenant, or /database?user=name@tenant.
    let options = if delimiter == '?' {
        Some(before_at)
    } else {
        before_at.split_once('?').map(|(_, options)| options)
    };
    let last =
        options.and_then(|options| options.rsplit('&').next()).and_then(|option| option.split_once('='));
    let is_option = last.is_some_and(|(name, _)| OPTIONS.contains(&name));
    let has_password = authority.contains(':');
    (has_password && !is_option).then_some(delimiter)
}

/// Returns whether the password contains an unescaped @. Socialize accepts it, but libpq (psql, pg_dump)
/// takes what follows the first @ as the host.
pub(crate) fn has_unescaped_at(url: &Secret) -> bool {
    let Some((_, rest)) = url.expose().split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.matches('@').count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_character_that_ends_the_password_is_named() {
        for (url, expected) in [
            ("postgres://u:pass/word@host/d", Some('/')),
            ("postgres://u:pass#word@host/d", Some('#')),
            ("postgres://u:pass?word@host/d", Some('?')),
            // These are valid URLs with the host `u`.
            ("postgres://u:12/34@host/d", Some('/')),
            ("postgres://u:12#34@host:5432/d?sslmode=require", Some('#')),
            ("postgres://u:12?34@host/d", Some('?')),
            ("postgres://u:12?a=34@host/d", Some('?')),
            ("postgres://u:p@ss/word@host/d", Some('/')),
            ("postgres://u:p%40ss%2Fword@host/d", None),
            ("postgres://u:p@ss@host/d", None),
            ("postgres://u@host/d", None),
            ("postgres://host/d", None),
            ("postgres://u:p@host:5432/d?application_name=a@b", None),
            ("postgres://host:5432/d?user=u@tenant&password=p", None),
            ("postgres://host:5432?user=u@tenant", None),
            ("postgres:///d?host=/var/run/postgresql", None),
            ("host=localhost password=a/b@c", None),
        ] {
            assert_eq!(unescaped(url), expected, "{url}");
            assert_eq!(has_unescaped_at(&Secret::new(url)), url.ends_with("p@ss@host/d"), "{url}");
        }
    }

    proptest! {
        /// No password is silently misread.
        #[test]
        fn every_password_is_understood_or_refused(password in "[a-z0-9/?#@:&=%+ ]{1,12}") {
            let url = Secret::new(format!("postgres://name:{password}@host:5432/database"));
            let understood = Url::parse(url.expose())
                .is_ok_and(|url| url.host_str() == Some("host") && url.path() == "/database");
            prop_assert!(understood || problem(&url).is_some(), "{password}");
            prop_assert_eq!(unescaped(url.expose()).is_some(), password.contains(['/', '?', '#']), "{}", password);
        }
    }
}
