//! Checked settings, the form in which the rest of the program uses the configuration.

use std::collections::BTreeSet;

use clap::CommandFactory;
use telemetry::otlp::OtlpSettings;
use url::Url;

use super::arguments::Arguments;
use super::blobs::blobs;
use super::check::Mistakes;
use super::database::{DatabaseArguments, DatabaseSettings, database};
use super::given::Given;
use super::listen::ListenSettings;
use super::log::LogOutputSettings;
use super::mail::mail;
use super::process::ProcessSettings;
use super::serve_arguments::ServeArguments;
use crate::platform::blobs::BlobSettings;
use crate::platform::mail::MailSettings;
use crate::platform::outbound::OutboundSettings;
use crate::platform::passwords::PasswordHashing;
use crate::platform::quotas::QuotaSettings;
use crate::platform::rate_limit::RateLimitSettings;
use crate::platform::secret::Secret;

/// Secrets in the environment. They have no flags, because every user of the machine can read command lines.
pub(crate) const SECRETS: &[&str] =
    &["SOCIALIZE_SECRET", "SOCIALIZE_SMTP_PASSWORD", "SOCIALIZE_S3_SECRET_ACCESS_KEY"];

/// Minimum length of a server secret. Shorter ones can be guessed offline from any access token.
const SECRET_CHARACTERS: usize = 32;

/// All settings of `serve` and `work`.
pub struct Settings {
    pub database: DatabaseSettings,
    /// Settings and limits of the listeners.
    pub listen: ListenSettings,
    /// URL at which users reach the public listener.
    pub public_url: Url,
    /// Limits of log-ins and of e-mails.
    pub rate_limits: RateLimitSettings,
    /// Quotas of users and organizations.
    pub quotas: QuotaSettings,
    /// Cost and concurrency of password hashing.
    pub password_hashing: PasswordHashing,
    /// The secret that signs tokens.
    pub server_secret: Secret,
    /// Sender and transport of e-mails.
    pub mail: MailSettings,
    /// The store of uploaded files.
    pub blobs: BlobSettings,
    /// Restrictions on calls to publishing endpoints.
    pub outbound: OutboundSettings,
    /// Settings of the process, its jobs and its samples.
    pub process: ProcessSettings,
    /// Settings of log lines.
    pub log: LogOutputSettings,
    /// Destination of traces and metrics. `None` starts nothing and costs nothing.
    pub otlp: Option<OtlpSettings>,
    /// Value of `deployment.environment.name`.
    pub environment: String,
}

impl Settings {
    /// Checks all settings and reports all errors together: first of each alone, then of several.
    /// `variables` is the environment.
    ///
    /// # Errors
    /// Returns all errors, none of which quotes a secret.
    pub fn check(given: &Given<ServeArguments>, variables: &[(String, String)]) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let variable =
            |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        unknown_variables(&mut mistakes, given, variables);
        let Some(arguments) = given.parse::<ServeArguments>(&mut mistakes) else { return Err(mistakes) };

        let database = database(&mut mistakes, arguments.database);
        arguments.listen.check(&mut mistakes);
        let public_url = arguments.listen.public_url();
        let server_secret = server_secret(
            &mut mistakes,
            variable("SOCIALIZE_SECRET").as_deref(),
            arguments.secret_file.as_deref(),
        );
        let mail = mail(&mut mistakes, &arguments.mail, variable("SOCIALIZE_SMTP_PASSWORD"));
        let secret_access_key = variable("SOCIALIZE_S3_SECRET_ACCESS_KEY");
        let blobs = blobs(&mut mistakes, &arguments.blobs, arguments.uploads_at_once, secret_access_key);
        let log = arguments.log.outputs(variable("NO_COLOR").is_none_or(|value| value.is_empty()));
        let otlp = OtlpSettings::from_variables(&variable).unwrap_or_else(|problems| {
            for problem in problems {
                mistakes.add(problem.variable, problem.problem);
            }
            None
        });
        let settings = database.zip(public_url).zip(server_secret).zip(mail).zip(blobs).map(
            |((((database, public_url), server_secret), mail), blobs)| Self {
                database,
                listen: arguments.listen,
                public_url,
                rate_limits: arguments.rate_limits,
                quotas: arguments.quotas,
                password_hashing: arguments.password_hashing,
                server_secret,
                mail,
                blobs,
                outbound: arguments.outbound,
                process: arguments.process,
                log,
                otlp,
                environment: arguments.environment,
            },
        );
        mistakes.or(settings)
    }

    /// Checks only the database settings, for commands that need nothing else.
    ///
    /// # Errors
    /// Returns all errors, none of which quotes a secret.
    pub fn check_database(
        given: &Given<ServeArguments>,
        variables: &[(String, String)],
    ) -> Result<DatabaseSettings, Mistakes> {
        let mut mistakes = Mistakes::default();
        unknown_variables(&mut mistakes, given, variables);
        let arguments = given.parse::<DatabaseArguments>(&mut mistakes);
        let database = arguments.and_then(|arguments| database(&mut mistakes, arguments));
        mistakes.or(database)
    }
}

/// Reports unknown variables: a misspelled one would silently leave its default in force.
fn unknown_variables(mistakes: &mut Mistakes, given: &Given<ServeArguments>, variables: &[(String, String)]) {
    let known = known_variables();
    for (name, value) in variables.iter().filter(|(name, _)| known.contains(name)) {
        // A password may begin and end with a quotation mark; `doctor` warns about it.
        let is_secret = SECRETS.contains(&name.as_str());
        let is_quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        if !is_secret && (is_quoted('"') || is_quoted('\'')) {
            mistakes.settle(name, "is in quotation marks, which are part of it here: remove them");
        }
    }
    let set = variables.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("SOCIALIZE_"));
    for name in set.chain(given.variables()) {
        if !known.contains(name) {
            let nearest = known.iter().max_by_key(|known| likeness(known, name));
            let hint = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
            mistakes.add(name, format!("is not a setting of this version{hint}"));
        }
    }
}

fn known_variables() -> BTreeSet<String> {
    let command = Arguments::command();
    let arguments = command.get_subcommands().flat_map(|command| {
        command.get_arguments().chain(command.get_subcommands().flat_map(|inner| inner.get_arguments()))
    });
    let named = arguments.filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
    named.chain(SECRETS.iter().map(|name| (*name).to_owned())).collect()
}

/// Returns the number of letters that two names share at both ends.
fn likeness(one: &str, other: &str) -> usize {
    let from_start = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let from_end = one.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
    from_start + from_end
}

fn server_secret(mistakes: &mut Mistakes, value: Option<&str>, file: Option<&str>) -> Option<Secret> {
    let secret = mistakes.secret("SOCIALIZE_SECRET", value, file);
    match &secret {
        Some(secret) if secret.expose().chars().count() < SECRET_CHARACTERS => {
            let right = "must have at least 32 characters; `openssl rand -hex 32` makes a good one";
            mistakes.add("SOCIALIZE_SECRET", right);
        }
        None if value.is_none() && file.is_none() => {
            let right = "is required: at least 32 random characters, e.g. from `openssl rand -hex 32`";
            mistakes.add("SOCIALIZE_SECRET", right);
        }
        _ => {}
    }
    secret
}
