//! The command line. Values are read as text here and checked together in [`super::settings`], so
//! that one run reports every error.

use catalogue::labels::JobKind;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use console::settings::ConsoleArguments;
use domain::ids::JobId;
use domain::vocabulary::parse;
use telemetry::ClosedSet;

/// Teams draft social-media content and get it approved.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = AFTER_HELP)]
pub struct Arguments {
    /// The role or task of this process.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "Telemetry is sent when OTEL_EXPORTER_OTLP_ENDPOINT names a collector, e.g. \
                          http://localhost:4318. docs/OTLP.md\n\
                          lists the standard OTEL_* variables. Secrets are read from the environment or, with _FILE \
                          appended to the\n\
                          variable's name, from a file.";

/// Roles and tasks of the single binary.
#[derive(Subcommand)]
pub enum Command {
    /// Serve requests and, by default, work on jobs
    Serve(Box<ServeArguments>),
    /// Work on jobs only
    Work(Box<ServeArguments>),
    /// Migrate the database to the schema of this version
    Migrate(Box<ServeArguments>),
    /// Manage platform operators, who triage feedback reports
    Operator {
        /// The action on operators.
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// Erase a person: the account and everything that names them; their texts remain without a
    /// name
    EraseUser {
        /// The person's e-mail address, even if it has no account, or the id of an account
        user: String,
        /// Settings of the database and the mail directory.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Show, retry or discard jobs that were given up
    DeadLetters {
        /// The action on dead letters.
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Compare the counts behind the gauges with the tables, or repair them
    Gauges {
        /// The action on the counts.
        #[command(subcommand)]
        command: GaugesCommand,
    },
    /// Check the configuration and all dependencies, and print what to do: exit code 0, 1 or 2
    Doctor(Box<DoctorArguments>),
    /// Show dashboards, alerts, log lines and traces in a browser: receives the telemetry of other
    /// processes
    Console(Box<ConsoleArguments>),
    /// Print the OpenAPI document
    Openapi,
    /// Check through the operations listener whether the process is ready: exit code 0 or 1, for
    /// container health checks
    Healthcheck {
        /// Address of the operations listener
        #[arg(
            long,
            value_name = "ADDRESS",
            env = "SOCIALIZE_OPERATIONS_LISTEN",
            default_value = "127.0.0.1:9464"
        )]
        operations_listen: String,
    },
}

/// Actions on platform operators.
#[derive(Subcommand)]
pub enum OperatorCommand {
    /// Make a user an operator. The user must have registered and confirmed the address
    Add {
        /// The user's e-mail address
        email: String,
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Remove an operator's rights; the account stays
    Remove {
        /// The operator's e-mail address
        email: String,
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// List all operators
    List {
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
}

/// Actions on jobs that were given up. They show the history of a job but never its payload.
#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// List the newest dead letters
    List {
        /// Only jobs of this kind
        #[arg(long, value_name = "KIND", value_parser = job_kind())]
        kind: Option<JobKind>,
        /// Maximum number of jobs
        #[arg(long, value_name = "NUMBER", default_value_t = 50)]
        #[arg(value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Show one dead letter
    Show {
        /// The job's id
        id: JobId,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Put jobs back into the queue, with all attempts restored
    Retry(Box<ChosenDeadLetters>),
    /// Delete jobs, so that their work is never done
    Discard(Box<ChosenDeadLetters>),
}

/// The selected dead letters.
#[derive(Args)]
pub struct ChosenDeadLetters {
    /// The jobs' ids
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<JobId>,
    /// All dead letters
    #[arg(long)]
    pub all: bool,
    /// With --all: only jobs of this kind
    #[arg(long, value_name = "KIND", value_parser = job_kind(), conflicts_with = "ids")]
    pub kind: Option<JobKind>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Settings of the database.
    #[command(flatten)]
    pub settings: Box<ServeArguments>,
}

fn job_kind() -> impl TypedValueParser<Value = JobKind> {
    PossibleValuesParser::new(JobKind::ALL.iter().map(|kind| kind.as_str()))
        .try_map(|name| parse::<JobKind>(&name))
}

/// Actions on the counts behind the gauges.
#[derive(Subcommand)]
pub enum GaugesCommand {
    /// Compare the counts with the tables, which reads every row: exit code 1 if they differ
    Check {
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Make the counts equal to the tables, even while other processes write
    Repair {
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
}

/// Settings of `serve`, `work`, `migrate` and the commands that use the database.
#[derive(Args, Default)]
pub struct ServeArguments {
    /// Postgres (15 to 18), e.g. postgres://socialize@localhost/socialize (required)
    #[arg(long, value_name = "URL", env = "SOCIALIZE_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// File that holds the database URL
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_DATABASE_URL_FILE")]
    pub database_url_file: Option<String>,
    /// Maximum number of connections to the database [default: 10]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_DATABASE_CONNECTIONS")]
    pub database_connections: Option<String>,
    /// Maximum time that a request waits for a database connection [default: 2s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT")]
    pub database_acquire_timeout: Option<String>,
    /// Maximum duration of a statement [default: 10s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DATABASE_STATEMENT_TIMEOUT")]
    pub database_statement_timeout: Option<String>,
    /// Run on a database that a newer version has migrated, to go back to this version: true or
    /// false [default: false]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_DATABASE_MAY_BE_NEWER")]
    pub database_may_be_newer: Option<String>,

    /// File with the secret that signs tokens; at least 32 characters. The secret itself may be
    /// given in SOCIALIZE_SECRET instead (required by serve and work)
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SECRET_FILE")]
    pub secret_file: Option<String>,

    /// Address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_LISTEN")]
    pub listen: Option<String>,
    /// Address of the private operations listener: health details, metrics, log level [default:
    /// 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_OPERATIONS_LISTEN")]
    pub operations_listen: Option<String>,
    /// Additional host names of the operations listener, e.g. api,socialize.internal. Requests with
    /// other Host headers are rejected, which protects against web pages; localhost, loopback
    /// addresses and its own address are always accepted [default: none]
    #[arg(long, value_name = "NAMES", env = "SOCIALIZE_OPERATIONS_HOSTS")]
    pub operations_hosts: Option<String>,
    /// URL at which users reach Socialize; links in e-mails begin with it [default:
    /// http://localhost and the port of --listen]
    #[arg(long, value_name = "URL", env = "SOCIALIZE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted, e.g.
    /// 10.0.0.0/8,127.0.0.1 [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_TRUSTED_PEERS")]
    pub trusted_peers: Option<String>,
    /// Networks of proxies whose traceparent is continued, so that they choose ids and sampling. Name only
    /// proxies that start traces themselves or remove the client's header; other traces are linked, not
    /// continued [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_TRUSTED_TRACE_PEERS")]
    pub trusted_trace_peers: Option<String>,
    /// Maximum duration of a request [default: 15s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_REQUEST_TIMEOUT")]
    pub request_timeout: Option<String>,
    /// Maximum time for a request body to arrive [default: 10s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_BODY_TIMEOUT")]
    pub body_timeout: Option<String>,
    /// Maximum time for an uploaded file to arrive, at most 20m [default: 5m]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_UPLOAD_TIMEOUT")]
    pub upload_timeout: Option<String>,
    /// Maximum number of client connections. For one more, the longest idle one is closed [default:
    /// 2000, or fewer where the limit of open files is low]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_CONNECTIONS")]
    pub connections: Option<String>,
    /// Maximum number of connections of one client network; trusted proxies have no limit of their
    /// own [default: a quarter of all]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_CONNECTIONS_OF_ONE_CLIENT")]
    pub connections_of_one_client: Option<String>,
    /// Maximum number of concurrent uploads; others wait. Each takes up to 5 MiB of memory. One user
    /// may have a quarter of them, one organization half [default: 16]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_UPLOADS_AT_ONCE")]
    pub uploads_at_once: Option<String>,
    /// Maximum number of failed log-ins per minute for one account from one client network, over all
    /// processes. Three times as many for all accounts from one network. The same number per 15 minutes for
    /// one account from all networks that its user never used [default: 10]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_LOGIN_FAILURES")]
    pub login_failures: Option<String>,
    /// Maximum number of e-mails per hour to one address that one client network can cause by
    /// registering or requesting links; four times as many for all networks together [default: 5]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_EMAILS_TO_ONE_ADDRESS")]
    pub emails_to_one_address: Option<String>,
    /// Maximum number of these e-mails per hour that one client network can cause [default: 100]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_EMAILS_FROM_ONE_CLIENT")]
    pub emails_from_one_client: Option<String>,
    /// Maximum number of requests other than GET and HEAD of one user per minute, over all processes
    /// [default: 600]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_WRITES_PER_USER")]
    pub writes_per_user: Option<String>,
    /// Maximum number of feedback reports of one user per hour [default: 20]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_REPORTS_PER_USER")]
    pub reports_per_user: Option<String>,
    /// Maximum number of organizations that one user may have created [default: 50]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_ORGANIZATIONS_PER_USER")]
    pub organizations_per_user: Option<String>,
    /// Maximum number of workspaces of one organization [default: 500]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_WORKSPACES_PER_ORGANIZATION")]
    pub workspaces_per_organization: Option<String>,
    /// Maximum storage for the attachments of one organization in MiB [default: 51200]
    #[arg(long, value_name = "MIB", env = "SOCIALIZE_STORAGE_PER_ORGANIZATION")]
    pub storage_per_organization: Option<String>,
    /// Memory of a password hash in KiB. Hashes with another cost are replaced when their user logs
    /// in [default: 19456]
    #[arg(long, value_name = "KIB", env = "SOCIALIZE_PASSWORD_HASH_MEMORY")]
    pub password_hash_memory: Option<String>,
    /// Number of passes over that memory [default: 2]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_PASSWORD_HASH_ITERATIONS")]
    pub password_hash_iterations: Option<String>,
    /// Maximum number of concurrent password hashes [default: half of the processors, at most 8]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_PASSWORD_HASHES_AT_ONCE")]
    pub password_hashes_at_once: Option<String>,

    /// Time for which readiness fails before the listener closes, so that load balancers notice. It
    /// must be at least their probe interval times the failures that they wait for [default: 2s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DRAIN_DELAY")]
    pub drain_delay: Option<String>,
    /// Maximum time for requests and jobs to end at shutdown [default: 20s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_SHUTDOWN_TIMEOUT")]
    pub shutdown_timeout: Option<String>,
    /// Let serve work on jobs too: true or false [default: true]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_SERVE_WORKS")]
    pub serve_works: Option<String>,
    /// Maximum number of concurrent jobs of a kind; four times as many deliveries to publishing
    /// endpoints [default: 8]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_JOB_CONCURRENCY")]
    pub job_concurrency: Option<String>,
    /// Time after which the jobs of a killed worker are taken over by another [default: 60s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_JOB_LEASE")]
    pub job_lease: Option<String>,

    /// Interval at which one process, on behalf of all, samples the database gauges [default: 30s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_GAUGE_INTERVAL")]
    pub gauge_interval: Option<String>,
    /// Interval at which their counts are compared with the tables, which reads every content item
    /// [default: 1h]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_GAUGE_CHECK_INTERVAL")]
    pub gauge_check_interval: Option<String>,
    /// Time in approval after which a content item counts as stale and its reviewers are reminded
    /// [default: 72h]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_APPROVAL_STALE_AFTER")]
    pub approval_stale_after: Option<String>,

    /// Mail server: smtps://HOST, or smtp://HOST, which requires STARTTLS; add ?tls=none only for a
    /// server on this machine
    #[arg(long, value_name = "URL", env = "SOCIALIZE_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// User name for the mail server
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_SMTP_USERNAME")]
    pub smtp_username: Option<String>,
    /// File with the password for the mail server. The password itself may be given in
    /// SOCIALIZE_SMTP_PASSWORD instead
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SMTP_PASSWORD_FILE")]
    pub smtp_password_file: Option<String>,
    /// PEM file with additional trusted certificates for the mail server, besides those that the
    /// machine trusts
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SMTP_CA_FILE")]
    pub smtp_ca_file: Option<String>,
    /// Write e-mails into this directory instead of sending them
    #[arg(long, value_name = "DIRECTORY", env = "SOCIALIZE_MAIL_DIRECTORY")]
    pub mail_directory: Option<String>,
    /// Sender of e-mails, e.g. "Socialize <socialize@example.com>" (required by serve and work)
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_MAIL_FROM")]
    pub mail_from: Option<String>,

    /// Directory of uploaded files, unless an S3 bucket is used. All processes must share it
    /// [default: blobs, below the working directory]
    #[arg(long, value_name = "DIRECTORY", env = "SOCIALIZE_BLOBS_DIRECTORY")]
    pub blobs_directory: Option<String>,
    /// S3 bucket of uploaded files
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_S3_BUCKET")]
    pub s3_bucket: Option<String>,
    /// URL of the S3 server; must use https unless it is on this machine [default: Amazon's]
    #[arg(long, value_name = "URL", env = "SOCIALIZE_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Region in the signature of S3 requests [default: us-east-1]
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_S3_REGION")]
    pub s3_region: Option<String>,
    /// Put the bucket into the path instead of the host name: true or false [default: true with an
    /// endpoint, else false]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_S3_PATH_STYLE")]
    pub s3_path_style: Option<String>,
    /// Id of the S3 access key
    #[arg(long, value_name = "ID", env = "SOCIALIZE_S3_ACCESS_KEY_ID")]
    pub s3_access_key_id: Option<String>,
    /// File with the secret S3 access key. The key itself may be given in
    /// SOCIALIZE_S3_SECRET_ACCESS_KEY instead
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_S3_SECRET_ACCESS_KEY_FILE")]
    pub s3_secret_access_key_file: Option<String>,
    /// Your own networks that workspaces may publish to, even without TLS, e.g.
    /// 10.1.0.0/16,127.0.0.1. Otherwise only HTTPS to public addresses is allowed [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS")]
    pub publishing_allowed_networks: Option<String>,
    /// PEM file with additional trusted certificates for publishing endpoints, besides those that
    /// the machine trusts
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_PUBLISHING_CA_FILE")]
    pub publishing_ca_file: Option<String>,
    /// Send traceparent and tracestate to publishing endpoints, true or false. They belong to
    /// customers, who then see trace ids and sampling [default: false]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_PUBLISHING_TRACE_CONTEXT")]
    pub publishing_trace_context: Option<String>,

    /// Levels of the log lines that are written, e.g. info or info,sqlx=warn [default: info]
    #[arg(long, value_name = "LEVELS", env = "SOCIALIZE_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// Format of standard output: json, pretty or none [default: pretty on a terminal, json
    /// elsewhere]
    #[arg(long, value_name = "FORMAT", env = "SOCIALIZE_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// File to which log lines are also written as JSON, rotated by size
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_LOG_FILE")]
    pub log_file: Option<String>,
    /// Size in bytes at which the log file is rotated [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "SOCIALIZE_LOG_FILE_MAX_BYTES")]
    pub log_file_max_bytes: Option<String>,
    /// Number of rotated log files to keep [default: 5]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_LOG_FILE_KEEP")]
    pub log_file_keep: Option<String>,
    /// Name of this deployment in telemetry, e.g. production [default: development]
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_ENVIRONMENT")]
    pub environment: Option<String>,
}

/// Settings of the `doctor` command.
#[derive(Args, Default)]
pub struct DoctorArguments {
    /// Send a test e-mail to this address
    #[arg(long, value_name = "ADDRESS")]
    pub send_to: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// The settings to be checked.
    #[command(flatten)]
    pub settings: ServeArguments,
}
