//! Measurement of one workload: valgrind counts the instructions, the program itself its
//! allocations.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, ensure};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::route::Route;
use crate::variant::Variant;
use crate::workload::DATABASE_URL;

/// Number of runs of Socialize's variants; the cheapest counts. Addresses and hash seeds differ, and one run
/// in a hundred costs some percent more than all others.
const REPETITIONS: usize = 2;

/// Cost of one request, over all threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Instructions in user space.
    pub(crate) instructions: u64,
    /// Allocations and reallocations, with two decimals, because some happen once for many
    /// requests.
    pub(crate) allocations: f64,
}

/// Counts of one whole run.
struct Totals {
    instructions: u64,
    allocations: u64,
}

/// The directory for profiles.
pub(crate) struct Profiles {
    directory: PathBuf,
    _temporary: Option<TempDir>,
}

impl Profiles {
    /// Uses `kept`, or else a directory that is removed at the end.
    pub(crate) fn new(kept: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(directory) = kept {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("{} cannot be created", directory.display()))?;
            return Ok(Self { directory: directory.to_owned(), _temporary: None });
        }
        let temporary = TempDir::new()?;
        Ok(Self { directory: temporary.path().to_owned(), _temporary: Some(temporary) })
    }
}

impl Cost {
    /// Runs the workload for N and for 2N requests, and returns the difference as the cost of N
    /// requests.
    pub(crate) fn measure(
        route: Route,
        variant: Variant,
        database_url: Option<&str>,
        profiles: &Profiles,
    ) -> anyhow::Result<Self> {
        // Multiples of the number of requests after which the buffers are emptied.
        let requests = if route.needs_database() { 2048 } else { 4096 };
        let repetitions = if variant.is_usual() { 1 } else { REPETITIONS };
        let least = |requests: u64| {
            let mut least = Totals::of_run(route, variant, requests, database_url, profiles)?;
            for _ in 1..repetitions {
                let again = Totals::of_run(route, variant, requests, database_url, profiles)?;
                least.instructions = least.instructions.min(again.instructions);
                least.allocations = least.allocations.min(again.allocations);
            }
            anyhow::Ok(least)
        };
        // Run both concurrently: that halves the time on several processors and changes no count.
        let (once, twice) = std::thread::scope(|scope| {
            let once = scope.spawn(|| least(requests));
            let twice = least(2 * requests);
            (once.join(), twice)
        });
        let once = once.map_err(|_| anyhow!("the thread of the shorter run panicked"))??;
        let twice = twice?;
        let instructions = twice.instructions.saturating_sub(once.instructions);
        let allocations = twice.allocations.saturating_sub(once.allocations);
        Ok(Self {
            instructions: (instructions + requests / 2) / requests,
            allocations: (allocations as f64 / requests as f64 * 100.0).round() / 100.0,
        })
    }
}

impl Totals {
    fn of_run(
        route: Route,
        variant: Variant,
        requests: u64,
        database_url: Option<&str>,
        profiles: &Profiles,
    ) -> anyhow::Result<Self> {
        let name = format!("{}.{}.{requests}.callgrind", route.as_str(), variant.as_str());
        let profile = profiles.directory.join(name);
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", profile.display()));
        command.arg(std::env::current_exe()?).arg("measured");
        command.args(["--route", route.as_str(), "--variant", variant.as_str()]);
        command.arg("--requests").arg(requests.to_string());
        if let Some(url) = database_url {
            // Not an argument, because other users can read those.
            command.env(DATABASE_URL, url);
        }
        let output = command.output().context("valgrind cannot be started; ./test bench installs it")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the measured program ended with {}: {errors}", output.status);
        let allocations =
            String::from_utf8(output.stdout)?.trim().parse().context("a count of allocations")?;
        Ok(Self { instructions: instructions(&profile)?, allocations })
    }
}

/// Returns the total of a profile, which is the sum over all threads.
fn instructions(profile: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(profile).with_context(|| format!("{}", profile.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.context("the profile has no totals")?.trim().parse().context("the total is not a number")
}

/// Prints the allocations for [`Totals::of_run`] to parse.
pub(crate) fn print_allocations(stats: stats_alloc::Stats) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", stats.allocations + stats.reallocations)?;
    Ok(())
}
