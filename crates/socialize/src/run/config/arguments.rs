//! The command line. Values of settings are kept as text and checked together in [`super::settings`], so
//! that one run reports every error.

use catalogue::labels::JobKind;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use console::settings::ConsoleArguments;
use domain::ids::JobId;
use domain::vocabulary::parse;
use telemetry::ClosedSet;

use super::given::Given;
use super::serve_arguments::ServeArguments;

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
    Serve(Box<Given<ServeArguments>>),
    /// Work on jobs only
    Work(Box<Given<ServeArguments>>),
    /// Migrate the database to the schema of this version
    Migrate(Box<Given<ServeArguments>>),
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
        settings: Box<Given<ServeArguments>>,
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
        settings: Box<Given<ServeArguments>>,
    },
    /// Remove an operator's rights; the account stays
    Remove {
        /// The operator's e-mail address
        email: String,
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<Given<ServeArguments>>,
    },
    /// List all operators
    List {
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<Given<ServeArguments>>,
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
        settings: Box<Given<ServeArguments>>,
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
        settings: Box<Given<ServeArguments>>,
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
    pub settings: Box<Given<ServeArguments>>,
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
        settings: Box<Given<ServeArguments>>,
    },
    /// Make the counts equal to the tables, even while other processes write
    Repair {
        /// Settings of the database.
        #[command(flatten)]
        settings: Box<Given<ServeArguments>>,
    },
}

/// Settings of the `doctor` command.
#[derive(Args)]
pub struct DoctorArguments {
    /// Send a test e-mail to this address
    #[arg(long, value_name = "ADDRESS")]
    pub send_to: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// The settings to be checked.
    #[command(flatten)]
    pub settings: Given<ServeArguments>,
}
