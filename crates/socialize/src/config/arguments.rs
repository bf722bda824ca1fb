//! The command line. Values are taken as text here and checked together in [`super::settings`], so that one run reports
//! every mistake.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use domain::ids::JobId;
use domain::labels::JobKind;
use domain::vocabulary::parse;
use telemetry::ClosedSet;

/// Teams draft social-media content and get it approved.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = AFTER_HELP)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "Telemetry is sent when OTEL_EXPORTER_OTLP_ENDPOINT names a collector, e.g. http://localhost:4317; the other\n\
standard OTEL_* variables are honoured. Secrets are read from the environment or, with _FILE appended to the\n\
variable's name, from a file.";

/// The roles of the one binary.
#[derive(Subcommand)]
pub enum Command {
    /// Answer requests and, unless told otherwise, work on jobs
    Serve(Box<ServeArguments>),
    /// Work on jobs only
    Work(Box<ServeArguments>),
    /// Bring the database to the schema of this version
    Migrate(Box<ServeArguments>),
    /// Show Socialize at work: an own Postgres, the API, the worker and simulated teams
    Demo(Box<DemoArguments>),
    /// Let simulated teams use a running Socialize
    Simulate(Box<SimulateArguments>),
    /// Manage platform operators, who triage feedback reports
    Operator {
        /// What to do.
        #[command(subcommand)]
        command: OperatorCommand,
    },
    /// Erase a person: the account and everything that names them; what they wrote stays without a name
    EraseUser {
        /// The person's e-mail address, also when it has no account, or the id of an account
        user: String,
        /// Where the database is, and e-mails where they are files.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Look at jobs that were given up, try them again or throw them away
    DeadLetters {
        /// What to do.
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Compare the counts behind the gauges with the tables, or make them equal
    Gauges {
        /// What to do.
        #[command(subcommand)]
        command: GaugesCommand,
    },
    /// Check the configuration and everything that Socialize depends on, and say what to do: exit code 0, 1 or 2
    Doctor(Box<DoctorArguments>),
    /// Print the OpenAPI document
    Openapi,
    /// Answer whether the process on the operations listener is ready: exit code 0 or 1, for container health checks
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

/// What can be done about operators.
#[derive(Subcommand)]
pub enum OperatorCommand {
    /// Make a user an operator, who must have registered and confirmed the address
    Add {
        /// The user's e-mail address
        email: String,
        /// Where the database is.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Take that away again; the account stays
    Remove {
        /// The operator's e-mail address
        email: String,
        /// Where the database is.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// List all operators
    List {
        /// Where the database is.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
}

/// What can be done about jobs that were given up. What a job is about is never shown, only what became of it.
#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// List the newest ones
    List {
        /// Only jobs of this kind
        #[arg(long, value_name = "KIND", value_parser = job_kind())]
        kind: Option<JobKind>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Where the database is.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Show one
    Show {
        /// The job's id
        id: JobId,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Where the database is.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Give jobs back to the queue, with all their attempts
    Retry(Box<ChosenDeadLetters>),
    /// Delete jobs: their work will not be done
    Discard(Box<ChosenDeadLetters>),
}

/// Which dead letters something is done to.
#[derive(Args)]
pub struct ChosenDeadLetters {
    /// The jobs' ids
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<JobId>,
    /// All of them
    #[arg(long)]
    pub all: bool,
    /// With --all: only jobs of this kind
    #[arg(long, value_name = "KIND", value_parser = job_kind(), conflicts_with = "ids")]
    pub kind: Option<JobKind>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub settings: Box<ServeArguments>,
}

fn job_kind() -> impl TypedValueParser<Value = JobKind> {
    PossibleValuesParser::new(JobKind::ALL.iter().map(|kind| kind.as_str()))
        .try_map(|name| parse::<JobKind>(&name))
}

/// What can be done about the counts behind the gauges.
#[derive(Subcommand)]
pub enum GaugesCommand {
    /// Compare the counts with the tables, which reads every row: exit code 1 where they differ
    Check {
        /// Where the database is.
        #[command(flatten)]
        settings: Box<ServeArguments>,
    },
    /// Make the counts equal to the tables; others may go on writing
    Repair {
        /// Where the database is.
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
    /// Most connections to the database [default: 10]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_DATABASE_CONNECTIONS")]
    pub database_connections: Option<String>,
    /// How long a request waits for a database connection [default: 2s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT")]
    pub database_acquire_timeout: Option<String>,
    /// How long a statement may run [default: 10s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DATABASE_STATEMENT_TIMEOUT")]
    pub database_statement_timeout: Option<String>,

    /// File that holds the secret from which tokens are signed; at least 32 characters. The secret itself may be given in
    /// SOCIALIZE_SECRET instead (required by serve and work)
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SECRET_FILE")]
    pub secret_file: Option<String>,

    /// Address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_LISTEN")]
    pub listen: Option<String>,
    /// Address of the private operations listener: health detail, metrics, log level [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_OPERATIONS_LISTEN")]
    pub operations_listen: Option<String>,
    /// Names under which the operations listener may be asked, besides localhost, loopback addresses and its own address, e.g.
    /// api,socialize.internal: a page in a browser that comes from any other name is refused [default: none]
    #[arg(long, value_name = "NAMES", env = "SOCIALIZE_OPERATIONS_HOSTS")]
    pub operations_hosts: Option<String>,
    /// Where users reach Socialize; links in e-mails begin with it [default: http://localhost and the port of --listen]
    #[arg(long, value_name = "URL", env = "SOCIALIZE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Networks of proxies whose X-Forwarded-For and traceparent are believed, e.g. 10.0.0.0/8,127.0.0.1 [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_TRUSTED_PEERS")]
    pub trusted_peers: Option<String>,
    /// How long a request may take to be answered [default: 15s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_REQUEST_TIMEOUT")]
    pub request_timeout: Option<String>,
    /// How long a request body may take to arrive [default: 10s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_BODY_TIMEOUT")]
    pub body_timeout: Option<String>,
    /// How long an uploaded file may take to arrive, at most 20m [default: 5m]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_UPLOAD_TIMEOUT")]
    pub upload_timeout: Option<String>,
    /// How many uploads are received at once; others wait. Each takes up to 5 MiB of memory [default: 16]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_UPLOADS_AT_ONCE")]
    pub uploads_at_once: Option<String>,
    /// How many log-ins may fail in a minute for one account from one client network, counted over all processes. Three times as
    /// many for all accounts from there; as many in 15 minutes for the account from all networks that its user never used
    /// [default: 10]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_LOGIN_FAILURES")]
    pub login_failures: Option<String>,
    /// How many e-mails one client network can cause in an hour to one address, by registering or asking for links; all
    /// networks together four times as many [default: 5]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_EMAILS_TO_ONE_ADDRESS")]
    pub emails_to_one_address: Option<String>,
    /// How many of these e-mails one client network can cause in an hour [default: 100]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_EMAILS_FROM_ONE_CLIENT")]
    pub emails_from_one_client: Option<String>,
    /// How much memory the hash of a password takes, in KiB. Hashes of another cost are replaced when their user logs in
    /// [default: 19456]
    #[arg(long, value_name = "KIB", env = "SOCIALIZE_PASSWORD_HASH_MEMORY")]
    pub password_hash_memory: Option<String>,
    /// How often that memory is worked through [default: 2]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_PASSWORD_HASH_ITERATIONS")]
    pub password_hash_iterations: Option<String>,
    /// How many passwords are hashed at once [default: half of the processors, at most 8]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_PASSWORD_HASHES_AT_ONCE")]
    pub password_hashes_at_once: Option<String>,

    /// How long readiness fails before the listener closes, so that load balancers notice [default: 0s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_DRAIN_DELAY")]
    pub drain_delay: Option<String>,
    /// How long requests and jobs may take to end when the process is told to stop [default: 20s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_SHUTDOWN_TIMEOUT")]
    pub shutdown_timeout: Option<String>,
    /// Whether serve works on jobs as well: true or false [default: true]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_SERVE_WORKS")]
    pub serve_works: Option<String>,
    /// How many jobs run at once [default: 8]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_JOB_CONCURRENCY")]
    pub job_concurrency: Option<String>,
    /// How long the jobs of a worker that was killed wait until another takes them over [default: 60s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_JOB_LEASE")]
    pub job_lease: Option<String>,

    /// How often the gauges of the database are sampled, by one of all processes [default: 30s]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_GAUGE_INTERVAL")]
    pub gauge_interval: Option<String>,
    /// How often their counts are compared with the tables, which reads every content item [default: 1h]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_GAUGE_CHECK_INTERVAL")]
    pub gauge_check_interval: Option<String>,
    /// How long a content item may be in approval before it counts as stale and its reviewers are reminded [default: 72h]
    #[arg(long, value_name = "DURATION", env = "SOCIALIZE_APPROVAL_STALE_AFTER")]
    pub approval_stale_after: Option<String>,

    /// Mail server: smtps://HOST, or smtp://HOST which requires STARTTLS; add ?tls=none only for a server on this machine
    #[arg(long, value_name = "URL", env = "SOCIALIZE_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// User name for the mail server
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_SMTP_USERNAME")]
    pub smtp_username: Option<String>,
    /// File that holds the password for the mail server. The password itself may be given in SOCIALIZE_SMTP_PASSWORD instead
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SMTP_PASSWORD_FILE")]
    pub smtp_password_file: Option<String>,
    /// Certificates in PEM that are trusted for the mail server, besides those that the machine trusts
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_SMTP_CA_FILE")]
    pub smtp_ca_file: Option<String>,
    /// Write e-mails into this directory instead of sending them
    #[arg(long, value_name = "DIRECTORY", env = "SOCIALIZE_MAIL_DIRECTORY")]
    pub mail_directory: Option<String>,
    /// Sender of e-mails, e.g. "Socialize <socialize@example.com>" (required by serve and work)
    #[arg(long, value_name = "ADDRESS", env = "SOCIALIZE_MAIL_FROM")]
    pub mail_from: Option<String>,

    /// Directory of uploaded files, unless they go into an S3 bucket. All processes must see the same [default: blobs, below
    /// the working directory]
    #[arg(long, value_name = "DIRECTORY", env = "SOCIALIZE_BLOBS_DIRECTORY")]
    pub blobs_directory: Option<String>,
    /// S3 bucket of uploaded files
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_S3_BUCKET")]
    pub s3_bucket: Option<String>,
    /// URL of the S3 server, https unless it is on this machine [default: Amazon's]
    #[arg(long, value_name = "URL", env = "SOCIALIZE_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Region that requests to S3 are signed for [default: us-east-1]
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_S3_REGION")]
    pub s3_region: Option<String>,
    /// Whether the path names the bucket and not the host: true or false [default: true with an endpoint, else false]
    #[arg(long, value_name = "BOOL", env = "SOCIALIZE_S3_PATH_STYLE")]
    pub s3_path_style: Option<String>,
    /// Id of the access key for S3
    #[arg(long, value_name = "ID", env = "SOCIALIZE_S3_ACCESS_KEY_ID")]
    pub s3_access_key_id: Option<String>,
    /// File that holds the secret access key for S3. The key itself may be given in SOCIALIZE_S3_SECRET_ACCESS_KEY instead
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_S3_SECRET_ACCESS_KEY_FILE")]
    pub s3_secret_access_key_file: Option<String>,
    /// Networks of your own that workspaces may publish to, also without encryption, e.g. 10.1.0.0/16,127.0.0.1. Otherwise only
    /// HTTPS to public addresses is allowed [default: none]
    #[arg(long, value_name = "NETWORKS", env = "SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS")]
    pub publishing_allowed_networks: Option<String>,
    /// Certificates in PEM that are trusted for publishing endpoints, besides those that the machine trusts
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_PUBLISHING_CA_FILE")]
    pub publishing_ca_file: Option<String>,

    /// Which log lines are written, e.g. info or info,sqlx=warn [default: info]
    #[arg(long, value_name = "LEVELS", env = "SOCIALIZE_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// Format of standard output: json, pretty or none [default: pretty on a terminal, json elsewhere]
    #[arg(long, value_name = "FORMAT", env = "SOCIALIZE_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// File to which JSON lines are written as well, rotated by size
    #[arg(long, value_name = "FILE", env = "SOCIALIZE_LOG_FILE")]
    pub log_file: Option<String>,
    /// Size in bytes at which the log file is rotated [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "SOCIALIZE_LOG_FILE_MAX_BYTES")]
    pub log_file_max_bytes: Option<String>,
    /// How many rotated log files are kept [default: 5]
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_LOG_FILE_KEEP")]
    pub log_file_keep: Option<String>,
    /// Name of this deployment in telemetry, e.g. production [default: development]
    #[arg(long, value_name = "NAME", env = "SOCIALIZE_ENVIRONMENT")]
    pub environment: Option<String>,
}

/// Settings of `doctor`.
#[derive(Args, Default)]
pub struct DoctorArguments {
    /// Send a test e-mail to this address
    #[arg(long, value_name = "ADDRESS")]
    pub send_to: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// The settings that are checked.
    #[command(flatten)]
    pub settings: ServeArguments,
}

/// Settings of `demo`.
#[derive(Args, Default)]
pub struct DemoArguments {
    /// End after this time, e.g. 20s [default: when told to]
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,
    /// Write what was driven and what the signals said to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the database, e-mails and logs are kept
    #[arg(long, value_name = "DIRECTORY", default_value = ".demo")]
    pub data_directory: PathBuf,
    /// Use this Postgres server instead of an own one
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Directory of the Postgres programs [default: searched in the PATH, then below /usr/lib/postgresql]
    #[arg(long, value_name = "DIRECTORY")]
    pub postgres_binaries: Option<PathBuf>,
    /// What simulated people do together, in actions a second [default: 20]
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<String>,
    /// Makes the choices of simulated people repeatable [default: random]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<String>,
    /// Address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address of the private operations listener [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub operations_listen: Option<String>,
    /// Print plain lines instead of the live view
    #[arg(long)]
    pub plain: bool,
}

/// Settings of `simulate`.
#[derive(Args, Default)]
pub struct SimulateArguments {
    /// The Socialize that the people use, e.g. http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Directory into which that Socialize writes its e-mails: people find their links there
    #[arg(long, value_name = "DIRECTORY")]
    pub mail_directory: PathBuf,
    /// A server that takes posts at any path below this URL, e.g. http://127.0.0.1:9000, which the target must be allowed to call
    /// [default: people publish by hand]
    #[arg(long, value_name = "URL")]
    pub publishing_endpoint: Option<String>,
    /// What people do together, in actions a second [default: 20]
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<String>,
    /// For how long, e.g. 10m
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: String,
    /// Makes the choices of people repeatable [default: random]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<String>,
    /// Write what was driven to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Allow a target that is not on this machine
    #[arg(long)]
    pub i_own_this_host: bool,
}
