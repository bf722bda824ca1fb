//! The command line. Values are read as text here and checked together in [`crate::settings`], so
//! that one run reports every error.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use console::settings::ConsoleArguments;

/// Shows Socialize at work.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    /// The experiment.
    #[command(subcommand)]
    pub command: Command,
}

/// Experiments with Socialize.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show Socialize at work: a bundled Postgres, the API, the worker and simulated teams
    Demo(Box<DemoArguments>),
    /// Let simulated teams use a running Socialize
    Simulate(Box<SimulateArguments>),
    /// Run the console until standard input ends; the demo does
    #[command(hide = true)]
    Console(Box<ConsoleArguments>),
}

/// Settings of the `demo` command.
#[derive(Args, Default)]
pub(crate) struct DemoArguments {
    /// Stop after this time, e.g. 20s [default: runs until interrupted]
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,
    /// Write a report of the actions and signals to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Directory of the database, e-mails and logs
    #[arg(long, value_name = "DIRECTORY", default_value = ".demo")]
    pub data_directory: PathBuf,
    /// Use this Postgres server instead of the bundled one
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Directory of the Postgres programs [default: the PATH, then /usr/lib/postgresql]
    #[arg(long, value_name = "DIRECTORY")]
    pub postgres_binaries: Option<PathBuf>,
    /// Rate of all simulated people together, in actions a second [default: 20]
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<String>,
    /// Seed that makes the choices of simulated people repeatable [default: random]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<String>,
    /// Address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address of the private operations listener [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub operations_listen: Option<String>,
    /// Address of the console, or `none` [default: 127.0.0.1:3001]
    #[arg(long, value_name = "ADDRESS")]
    pub console_listen: Option<String>,
    /// Print plain lines instead of the live view
    #[arg(long)]
    pub plain: bool,
}

/// Settings of the `simulate` command.
#[derive(Args, Default)]
pub(crate) struct SimulateArguments {
    /// Base URL of the Socialize to be used, e.g. http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub target: String,
    /// Directory into which that Socialize writes its e-mails; simulated people find their links
    /// there
    #[arg(long, value_name = "DIRECTORY")]
    pub mail_directory: PathBuf,
    /// URL of a server that accepts posts at any path below it, e.g. http://127.0.0.1:9000. The
    /// target must be allowed to call it [default: people publish by hand]
    #[arg(long, value_name = "URL")]
    pub publishing_endpoint: Option<String>,
    /// Rate of all simulated people together, in actions a second [default: 20]
    #[arg(long, value_name = "NUMBER")]
    pub rate: Option<String>,
    /// Duration of the simulation, e.g. 10m
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: String,
    /// Seed that makes the choices of simulated people repeatable [default: random]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<String>,
    /// Write a report of the actions to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Allow a target that is not on this machine
    #[arg(long)]
    pub i_own_this_host: bool,
}
