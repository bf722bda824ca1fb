//! Checked settings, the form in which the rest of the program uses the configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use ipnet::IpNet;
use telemetry::log::{LevelSetting, LogFileSettings, LogFormat};
use telemetry::otlp::OtlpSettings;
use url::Url;

use super::arguments::{Arguments, ServeArguments};
use super::blobs::blobs;
use super::check::{LONGEST, Mistakes, TIME_LIMIT};
use super::database::{DatabaseSettings, database};
use super::mail::mail;
use super::publishing::publishing;
use crate::platform::blobs::BlobSettings;
use crate::platform::mail::MailSettings;
use crate::platform::outbound::OutboundSettings;
use crate::platform::passwords::PasswordHashing;
use crate::platform::quotas::QuotaSettings;
use crate::platform::rate_limit::{Limit, RateLimitSettings};
use crate::platform::secret::Secret;
use crate::queue::LEASE;

/// Minimum number of client connections.
pub(crate) const FEWEST_CONNECTIONS: usize = 16;

/// Secrets in the environment. They have no flags, because every user of the machine can read command lines.
pub(crate) const SECRETS: &[&str] =
    &["SOCIALIZE_SECRET", "SOCIALIZE_SMTP_PASSWORD", "SOCIALIZE_S3_SECRET_ACCESS_KEY"];

/// Minimum length of a server secret. Shorter ones can be guessed offline from any access token.
const SECRET_CHARACTERS: usize = 32;

/// A gauge that is sampled less than once an hour would describe the past.
const GAUGE_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60 * 60);
/// A comparison reads every row; one that runs less than once a month is useless.
const GAUGE_CHECK_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(31 * 24 * 60 * 60);
/// At most a year.
const APPROVAL_STALE_AFTER: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 60 * 60);
/// Load balancers that probe every second notice in time. Without a delay, 36 of 2,037 requests over
/// six restarts met a closed listener.
const DRAIN_DELAY: Duration = Duration::from_secs(2);
/// Longer uploads would be treated as abandoned and deleted.
const UPLOAD_TIME_LIMIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(20 * 60);

/// All settings of `serve` and `work`.
pub struct Settings {
    pub database: DatabaseSettings,
    /// Settings and limits of the listeners.
    pub listen: ListenSettings,
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
    /// If true, `serve` works on jobs too.
    pub serve_works: bool,
    /// Maximum number of concurrent jobs.
    pub job_concurrency: usize,
    /// Time without renewal after which a worker loses its jobs.
    pub job_lease: Duration,
    /// Interval of samples of the database gauges.
    pub gauge_interval: Duration,
    /// Interval of comparisons of their counts with the tables.
    pub gauge_check_interval: Duration,
    /// Time in approval after which a content item is stale.
    pub approval_stale_after: Duration,
    /// Time for which readiness fails before the listener closes.
    pub drain_delay: Duration,
    /// Maximum time for requests and jobs to end at shutdown.
    pub shutdown_timeout: Duration,
    /// Settings of log lines.
    pub log: LogOutputSettings,
    /// Destination of traces and metrics. `None` starts nothing and costs nothing.
    pub otlp: Option<OtlpSettings>,
    /// Value of `deployment.environment.name`.
    pub environment: String,
}

/// Addresses and limits of the listeners.
pub struct ListenSettings {
    /// Address of the public listener.
    pub public: SocketAddr,
    /// Address of the private listener.
    pub operations: SocketAddr,
    /// Additional host names of the private listener.
    pub operations_hosts: Vec<String>,
    /// URL at which users reach the public listener.
    pub public_url: Url,
    /// Networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
    pub trusted_peers: Vec<IpNet>,
    /// Networks of proxies whose `traceparent` is continued.
    pub trusted_trace_peers: Vec<IpNet>,
    /// Maximum number of client connections, if the operator sets it.
    pub connections: Option<usize>,
    /// Maximum number of connections of one client network, if the operator sets it.
    pub connections_of_one_client: Option<usize>,
    /// Maximum duration of a request.
    pub request_timeout: Duration,
    /// Maximum time for a request body to arrive.
    pub body_timeout: Duration,
    /// Maximum time for an uploaded file to arrive.
    pub upload_timeout: Duration,
}

/// Destinations of log lines.
pub struct LogOutputSettings {
    /// Filter of the lines.
    pub levels: LevelSetting,
    /// Format on standard output, if lines are written there.
    pub stdout: Option<LogFormat>,
    /// The log file, if there is one.
    pub file: Option<LogFileSettings>,
}

impl Settings {
    /// Checks all settings and reports all errors together. `variables` is the environment.
    ///
    /// # Errors
    /// Returns all errors, none of which quotes a secret.
    pub fn check(arguments: &ServeArguments, variables: &[(String, String)]) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let variable =
            |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        unknown_variables(&mut mistakes, variables);

        let database = database(&mut mistakes, arguments);
        let listen = listen(&mut mistakes, arguments);
        let rate_limits = rate_limits(&mut mistakes, arguments);
        let quotas = quotas(&mut mistakes, arguments);
        let password_hashing = password_hashing(&mut mistakes, arguments);
        let server_secret = server_secret(&mut mistakes, arguments, variable("SOCIALIZE_SECRET"));
        let mail = mail(&mut mistakes, arguments, variable("SOCIALIZE_SMTP_PASSWORD"));
        let blobs = blobs(&mut mistakes, arguments, variable("SOCIALIZE_S3_SECRET_ACCESS_KEY"));
        let outbound = publishing(&mut mistakes, arguments);
        let log = log(&mut mistakes, arguments, variable("NO_COLOR").is_none_or(|value| value.is_empty()));
        let otlp = OtlpSettings::from_variables(&variable).unwrap_or_else(|problems| {
            for problem in problems {
                mistakes.add(problem.variable, problem.problem);
            }
            None
        });
        let serve_works =
            mistakes.parse("SOCIALIZE_SERVE_WORKS", arguments.serve_works.as_deref(), true, "true or false");
        let job_concurrency =
            mistakes.number("SOCIALIZE_JOB_CONCURRENCY", arguments.job_concurrency.as_deref(), 8, 1..=256)
                as usize;
        let gauge_interval = mistakes.duration(
            "SOCIALIZE_GAUGE_INTERVAL",
            arguments.gauge_interval.as_deref(),
            Duration::from_secs(30),
            GAUGE_INTERVAL,
        );
        let gauge_check_interval = mistakes.duration(
            "SOCIALIZE_GAUGE_CHECK_INTERVAL",
            arguments.gauge_check_interval.as_deref(),
            Duration::from_secs(60 * 60),
            GAUGE_CHECK_INTERVAL,
        );
        let approval_stale_after = mistakes.duration(
            "SOCIALIZE_APPROVAL_STALE_AFTER",
            arguments.approval_stale_after.as_deref(),
            Duration::from_secs(72 * 60 * 60),
            APPROVAL_STALE_AFTER,
        );
        let job_lease = mistakes.duration(
            "SOCIALIZE_JOB_LEASE",
            arguments.job_lease.as_deref(),
            LEASE,
            Duration::from_secs(1)..=Duration::from_secs(60 * 60),
        );
        let drain_delay = mistakes.duration(
            "SOCIALIZE_DRAIN_DELAY",
            arguments.drain_delay.as_deref(),
            DRAIN_DELAY,
            Duration::ZERO..=LONGEST,
        );
        let shutdown_timeout = mistakes.duration(
            "SOCIALIZE_SHUTDOWN_TIMEOUT",
            arguments.shutdown_timeout.as_deref(),
            Duration::from_secs(20),
            Duration::ZERO..=LONGEST,
        );
        let environment = arguments.environment.clone().unwrap_or_else(|| "development".to_owned());
        let settings = database.zip(listen).zip(server_secret).zip(mail).zip(blobs).map(
            |((((database, listen), server_secret), mail), blobs)| Self {
                database,
                listen,
                rate_limits,
                quotas,
                password_hashing,
                server_secret,
                mail,
                blobs,
                outbound,
                serve_works,
                job_concurrency,
                job_lease,
                gauge_interval,
                gauge_check_interval,
                approval_stale_after,
                drain_delay,
                shutdown_timeout,
                log,
                otlp,
                environment,
            },
        );
        mistakes.or(settings)
    }

    /// Checks only the database settings, for commands that need nothing else.
    ///
    /// # Errors
    /// Returns all errors, none of which quotes a secret.
    pub fn check_database(
        arguments: &ServeArguments,
        variables: &[(String, String)],
    ) -> Result<DatabaseSettings, Mistakes> {
        let mut mistakes = Mistakes::default();
        unknown_variables(&mut mistakes, variables);
        let database = database(&mut mistakes, arguments);
        mistakes.or(database)
    }
}

/// Reports unknown variables: a misspelled one would silently leave its default in force.
fn unknown_variables(mistakes: &mut Mistakes, variables: &[(String, String)]) {
    let known = known_variables();
    for (name, value) in variables.iter().filter(|(name, _)| known.contains(name)) {
        // A password may begin and end with a quotation mark; `doctor` warns about it.
        let is_secret = SECRETS.contains(&name.as_str());
        let is_quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        if !is_secret && (is_quoted('"') || is_quoted('\'')) {
            mistakes.settle(name, "is in quotation marks, which are part of it here: remove them");
        }
    }
    for (name, _) in variables.iter().filter(|(name, _)| name.starts_with("SOCIALIZE_")) {
        if !known.contains(name.as_str()) {
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

fn listen(mistakes: &mut Mistakes, arguments: &ServeArguments) -> Option<ListenSettings> {
    let address = "an address such as 127.0.0.1:8080";
    let (public, operations) =
        (SocketAddr::from(([127, 0, 0, 1], 8080)), SocketAddr::from(([127, 0, 0, 1], 9464)));
    let public = mistakes.parse("SOCIALIZE_LISTEN", arguments.listen.as_deref(), public, address);
    let operations = mistakes.parse(
        "SOCIALIZE_OPERATIONS_LISTEN",
        arguments.operations_listen.as_deref(),
        operations,
        address,
    );
    if public == operations && public.port() != 0 {
        mistakes.add("SOCIALIZE_OPERATIONS_LISTEN", "must differ from SOCIALIZE_LISTEN: it is private");
    }
    let names = arguments.operations_hosts.as_deref().unwrap_or_default().split(',').map(str::trim);
    let operations_hosts: Vec<String> =
        names.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect();
    let is_name = |name: &String| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    if !operations_hosts.iter().all(is_name) {
        mistakes
            .add("SOCIALIZE_OPERATIONS_HOSTS", "must be names without ports, such as api,socialize.internal");
    }
    let default_url = format!("http://localhost:{}", public.port());
    let url_text = arguments.public_url.as_deref().unwrap_or(&default_url);
    let public_url =
        Url::parse(url_text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if public_url.is_none() {
        mistakes.add(
            "SOCIALIZE_PUBLIC_URL",
            format!("{url_text:?} is not a URL such as https://socialize.example.com"),
        );
    }
    let trusted_peers = mistakes.networks("SOCIALIZE_TRUSTED_PEERS", arguments.trusted_peers.as_deref());
    let trusted_trace_peers =
        mistakes.networks("SOCIALIZE_TRUSTED_TRACE_PEERS", arguments.trusted_trace_peers.as_deref());
    let mut connections = |setting, value: &Option<String>| {
        let fewest = FEWEST_CONNECTIONS as u64;
        value
            .as_deref()
            .map(|value| mistakes.number(setting, Some(value), fewest, fewest..=1_000_000) as usize)
    };
    let connections_in_all = connections("SOCIALIZE_CONNECTIONS", &arguments.connections);
    let connections_of_one_client =
        connections("SOCIALIZE_CONNECTIONS_OF_ONE_CLIENT", &arguments.connections_of_one_client);
    let request_timeout = mistakes.duration(
        "SOCIALIZE_REQUEST_TIMEOUT",
        arguments.request_timeout.as_deref(),
        Duration::from_secs(15),
        TIME_LIMIT,
    );
    let body_timeout = mistakes.duration(
        "SOCIALIZE_BODY_TIMEOUT",
        arguments.body_timeout.as_deref(),
        Duration::from_secs(10),
        TIME_LIMIT,
    );
    let upload_timeout = mistakes.duration(
        "SOCIALIZE_UPLOAD_TIMEOUT",
        arguments.upload_timeout.as_deref(),
        Duration::from_secs(5 * 60),
        UPLOAD_TIME_LIMIT,
    );
    public_url.map(|public_url| ListenSettings {
        public,
        operations,
        operations_hosts,
        public_url,
        trusted_peers,
        trusted_trace_peers,
        connections: connections_in_all,
        connections_of_one_client,
        request_timeout,
        body_timeout,
        upload_timeout,
    })
}

fn rate_limits(mistakes: &mut Mistakes, arguments: &ServeArguments) -> RateLimitSettings {
    let defaults = RateLimitSettings::default();
    let mut limit = |setting, value: &Option<String>, limit: Limit| {
        let count = mistakes.number(setting, value.as_deref(), limit.count.get() as u64, 1..=1_000_000);
        Limit { count: NonZeroUsize::new(count as usize).unwrap_or(limit.count), ..limit }
    };
    RateLimitSettings {
        login_failures: limit("SOCIALIZE_LOGIN_FAILURES", &arguments.login_failures, defaults.login_failures),
        logins: defaults.logins,
        writes: limit("SOCIALIZE_WRITES_PER_USER", &arguments.writes_per_user, defaults.writes),
        reports: limit("SOCIALIZE_REPORTS_PER_USER", &arguments.reports_per_user, defaults.reports),
        emails_to_one_address: limit(
            "SOCIALIZE_EMAILS_TO_ONE_ADDRESS",
            &arguments.emails_to_one_address,
            defaults.emails_to_one_address,
        ),
        emails_from_one_client: limit(
            "SOCIALIZE_EMAILS_FROM_ONE_CLIENT",
            &arguments.emails_from_one_client,
            defaults.emails_from_one_client,
        ),
    }
}

fn quotas(mistakes: &mut Mistakes, arguments: &ServeArguments) -> QuotaSettings {
    let defaults = QuotaSettings::default();
    let mut count = |setting, value: &Option<String>, default| {
        mistakes.number(setting, value.as_deref(), default, 1..=1_000_000_000)
    };
    QuotaSettings {
        organizations_per_user: count(
            "SOCIALIZE_ORGANIZATIONS_PER_USER",
            &arguments.organizations_per_user,
            defaults.organizations_per_user,
        ),
        workspaces_per_organization: count(
            "SOCIALIZE_WORKSPACES_PER_ORGANIZATION",
            &arguments.workspaces_per_organization,
            defaults.workspaces_per_organization,
        ),
        storage_per_organization: count(
            "SOCIALIZE_STORAGE_PER_ORGANIZATION",
            &arguments.storage_per_organization,
            defaults.storage_per_organization >> 20,
        ) << 20,
    }
}

fn password_hashing(mistakes: &mut Mistakes, arguments: &ServeArguments) -> PasswordHashing {
    let default = PasswordHashing::default();
    let memory_kib = mistakes.number(
        "SOCIALIZE_PASSWORD_HASH_MEMORY",
        arguments.password_hash_memory.as_deref(),
        u64::from(default.memory_kib),
        // From the minimum of Argon2 to 4 GiB.
        8..=4 << 20,
    ) as u32;
    let iterations = mistakes.number(
        "SOCIALIZE_PASSWORD_HASH_ITERATIONS",
        arguments.password_hash_iterations.as_deref(),
        u64::from(default.iterations),
        1..=1_000,
    ) as u32;
    let at_once = mistakes.number(
        "SOCIALIZE_PASSWORD_HASHES_AT_ONCE",
        arguments.password_hashes_at_once.as_deref(),
        default.at_once as u64,
        1..=1_024,
    ) as usize;
    PasswordHashing { memory_kib, iterations, at_once, ..default }
}

fn server_secret(
    mistakes: &mut Mistakes,
    arguments: &ServeArguments,
    value: Option<String>,
) -> Option<Secret> {
    let secret = mistakes.secret("SOCIALIZE_SECRET", value.as_deref(), arguments.secret_file.as_deref());
    match &secret {
        Some(secret) if secret.expose().chars().count() < SECRET_CHARACTERS => {
            let right = "must have at least 32 characters; `openssl rand -hex 32` makes a good one";
            mistakes.add("SOCIALIZE_SECRET", right);
        }
        None if value.is_none() && arguments.secret_file.is_none() => {
            let right = "is required: at least 32 random characters, e.g. from `openssl rand -hex 32`";
            mistakes.add("SOCIALIZE_SECRET", right);
        }
        _ => {}
    }
    secret
}

fn log(mistakes: &mut Mistakes, arguments: &ServeArguments, color: bool) -> LogOutputSettings {
    let levels = arguments.log_level.as_deref().unwrap_or("info").parse().unwrap_or_else(|error| {
        mistakes.add("SOCIALIZE_LOG_LEVEL", error);
        LevelSetting::default()
    });
    let stdout = match arguments.log_format.as_deref() {
        None => Some(LogFormat::for_stdout(color)),
        Some("json") => Some(LogFormat::Json),
        Some("pretty") => Some(LogFormat::Pretty { color }),
        Some("none") => None,
        Some(other) => {
            mistakes.add("SOCIALIZE_LOG_FORMAT", format!("{other:?} is none of json, pretty, none"));
            None
        }
    };
    let bounds = LogFileSettings::SMALLEST_MAX_BYTES..=1 << 40;
    let max_bytes = arguments.log_file_max_bytes.as_deref();
    let max_bytes = mistakes.number("SOCIALIZE_LOG_FILE_MAX_BYTES", max_bytes, 64 << 20, bounds);
    let keep = mistakes.number("SOCIALIZE_LOG_FILE_KEEP", arguments.log_file_keep.as_deref(), 5, 1..=10_000)
        as usize;
    let file = arguments.log_file.as_ref().map(|path| LogFileSettings {
        path: PathBuf::from(path),
        max_bytes,
        keep,
    });
    LogOutputSettings { levels, stdout, file }
}
