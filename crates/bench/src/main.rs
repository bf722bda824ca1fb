//! Cost of telemetry per request: processor instructions, counted by valgrind, and allocations.
//!
//! Times differ between runs and machines; instructions hardly do, so a rise of a few percent is
//! caused by the code. Every number is the difference between a run of N and one of 2N requests,
//! divided by N: the cost of start-up is in both and cancels out.

mod children;
mod cost;
mod gauges;
mod jobs;
mod processors;
mod readme;
mod recording;
mod report;
mod request;
mod route;
mod served;
mod things;
mod times;
mod usual;
mod variant;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};
use test_support::TestDatabase;
use tokio::runtime::Runtime;

use crate::cost::{Cost, Profiles};
use crate::gauges::GaugesArguments;
use crate::report::Report;
use crate::route::Route;
use crate::served::Served;
use crate::variant::Variant;
use crate::workload::Workload;

/// Counts allocations of all threads. Apart from that it is the application's allocator.
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// Prints the cost of telemetry per request: instructions and allocations, over all threads.
#[derive(Parser)]
#[command(name = "./test bench")]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Options {
    /// Also write the costs to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if something costs more than in the committed baseline: 3 % more instructions, or any additional
    /// allocation. Measures only the compared values: neither the usual crates nor the database, and no times
    #[arg(long)]
    check: bool,
    /// Make these costs the baseline, and write them into the README
    #[arg(long, conflicts_with = "check")]
    accept: bool,
    /// Measure only this route
    #[arg(long, value_enum)]
    route: Option<Route>,
    /// Measure only this variant
    #[arg(long, value_enum)]
    variant: Option<Variant>,
    /// Keep the profiles in this directory, for callgrind_annotate
    #[arg(long, value_name = "DIRECTORY")]
    profiles: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// The measured program: processes requests and prints the number of allocations
    #[command(hide = true)]
    Measured(Workload),
    Gauges(GaugesArguments),
    /// Show the cost of telemetry in time, which differs between machines
    Times,
    /// The program whose processor time is measured: serves one route until it is killed
    #[command(hide = true)]
    Served(Served),
}

impl Options {
    /// Returns whether a variant of a route is to be measured.
    fn wants(&self, route: Route, variant: Variant) -> bool {
        self.route.is_none_or(|only| only == route)
            && self.variant.is_none_or(|only| only == variant)
            && (!self.check || report::is_checked(route, variant))
    }
}

fn main() -> anyhow::Result<ExitCode> {
    // The same setting as in the application, so that memory costs the same.
    socialize::platform::memory::give_back_large_blocks();
    let Arguments { options, command } = Arguments::parse();
    match command {
        Some(Command::Measured(workload)) => {
            let region = stats_alloc::Region::new(ALLOCATOR);
            workload.run()?;
            cost::print_allocations(region.change())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Gauges(arguments)) => {
            let problems = gauges::measure(&arguments)?;
            report::print_problems(&problems)?;
            Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(Command::Times) => {
            show_times(processors::keep_one_free()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Served(served)) => {
            served.run()?;
            Ok(ExitCode::SUCCESS)
        }
        None => measure(&options),
    }
}

fn measure(options: &Options) -> anyhow::Result<ExitCode> {
    let is_partial = options.route.is_some() || options.variant.is_some();
    if options.accept && is_partial {
        bail!("a baseline holds every route and variant: leave out --route and --variant");
    }
    let baseline = options.check.then(Report::baseline).transpose()?;
    if let Some(baseline) = &baseline {
        let is_current = readme::is_current(baseline)?;
        ensure!(is_current, "the README does not say what the baseline does: --accept writes both");
    }
    let shows_times = !is_partial && !options.check;
    // Before Postgres is started, because the server must stay on this process's processors.
    let free = shows_times.then(processors::keep_one_free).transpose()?;
    let profiles = Profiles::new(options.profiles.as_deref())?;
    let mut report = Report::default();
    for route in Route::ALL {
        let variants = route.variants().iter().filter(|variant| options.wants(*route, **variant));
        let variants: Vec<&Variant> = variants.collect();
        if variants.is_empty() {
            continue;
        }
        let database = route.needs_database().then(prepare_database).transpose()?;
        for variant in variants {
            let url = database.as_ref().map(|prepared| prepared.database.url());
            let cost = Cost::measure(*route, *variant, url, &profiles)
                .with_context(|| format!("{}/{} could not be measured", route.as_str(), variant.as_str()))?;
            report.add(*route, *variant, cost);
        }
    }
    ensure!(!report.is_empty(), "nothing is left to measure: see --help on --check, --route and --variant");
    report.print()?;
    if let Some(free) = free {
        show_times(free)?;
    }
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    if options.accept {
        report.write(&report::baseline_file())?;
        readme::write(&report)?;
    }
    let mut problems = report.exceeded_limits();
    if let Some(baseline) = &baseline {
        problems.extend(report.rises_above(baseline));
    }
    report::print_problems(&problems)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the costs that differ between runs. The compared servers get the processor that is kept
/// free for them.
fn show_times(free: usize) -> anyhow::Result<()> {
    times::print_head()?;
    for route in [Route::NoOpJson, Route::Select] {
        let database = if route.needs_database() { Some(prepare_database()?) } else { None };
        let database_url = database.as_ref().map(|prepared| prepared.database.url());
        times::compare_processor_time(route, database_url, free)?;
    }
    times::measure_instruments()
}

/// A database with the one table that the `select` route reads. Its connections need the runtime,
/// which is therefore dropped last.
struct PreparedDatabase {
    database: TestDatabase,
    _runtime: Runtime,
}

fn prepare_database() -> anyhow::Result<PreparedDatabase> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let database = runtime.block_on(async {
        let database = TestDatabase::create_empty().await;
        things::create_table(database.pool()).await?;
        anyhow::Ok(database)
    })?;
    Ok(PreparedDatabase { database, _runtime: runtime })
}
