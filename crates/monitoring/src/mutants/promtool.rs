//! Runs promtool for several mutants at once, because most of its time is its startup.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::Context;

use super::mutant::{Mutant, Tests};
use crate::prometheus::test_file;

const REPORT: &str = "report.xml";

/// Number of mutants per run of promtool.
const AT_ONCE: usize = 8;

/// Returns for each mutant whether one of its tests failed.
pub(super) fn caught(mutants: &[Mutant]) -> anyhow::Result<Vec<bool>> {
    let mut caught = vec![false; mutants.len()];
    let longest = mutants.iter().map(|mutant| mutant.tests.len()).max().unwrap_or(0);
    for stage in 0..longest {
        let survivors: Vec<usize> =
            (0..mutants.len()).filter(|at| !caught[*at] && mutants[*at].tests.len() > stage).collect();
        for (position, is_caught) in in_parallel(mutants, &survivors, stage)? {
            caught[position] = is_caught;
        }
    }
    Ok(caught)
}

type Verdicts = Vec<(usize, bool)>;

fn in_parallel(mutants: &[Mutant], positions: &[usize], stage: usize) -> anyhow::Result<Verdicts> {
    let chunks = Mutex::new(positions.chunks(AT_ONCE));
    let work = || {
        let mut verdicts = Vec::new();
        loop {
            let chunk = chunks.lock().ok().and_then(|mut chunks| chunks.next());
            match chunk {
                Some(chunk) => verdicts.extend(test(mutants, chunk, stage)?),
                None => return Ok(verdicts),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<anyhow::Result<Verdicts>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
        };
        running.into_iter().map(join).collect()
    });
    Ok(results.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
}

/// A directory of one run, deleted with its files when dropped.
struct Directory(PathBuf);

impl Directory {
    /// Each process tests a mutant only once per stage, so the name is unique.
    fn create(stage: usize, first: usize) -> std::io::Result<Self> {
        let name = format!("mutants-{}-{stage}-{first}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // If it fails, a small directory remains, which the system cleans up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn test(mutants: &[Mutant], positions: &[usize], stage: usize) -> anyhow::Result<Verdicts> {
    let directory = Directory::create(stage, positions[0])?;
    // At low priority, so that the machine stays usable during the minutes of a run.
    let mut promtool = Command::new("nice");
    promtool
        .args(["promtool", "test", "rules", "--junit", REPORT])
        .current_dir(&directory.0)
        .env("GOMAXPROCS", "1");
    for position in positions {
        write(&directory.0, *position, &mutants[*position], stage)?;
        promtool.arg(test_file_name(*position));
    }
    let output = promtool.output().context("promtool cannot be run")?;
    let report = std::fs::read_to_string(directory.0.join(REPORT));
    let report = report.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let verdict = |position: &usize| {
        // All cases of a rule may belong to another stage.
        if !mutants[*position].tests[stage].text.contains("interval:") {
            return Ok((*position, false));
        }
        let suite = suite(&report, &test_file_name(*position));
        suite
            .map(|failures| (*position, failures > 0))
            .with_context(|| format!("promtool says nothing of {position}: {report}"))
    };
    positions.iter().map(verdict).collect()
}

/// Number of failed tests of a file in promtool's JUnit report; `None` if the file could not be read.
fn suite(report: &str, file: &str) -> Option<u64> {
    let (_, suite) = report.split_once(&format!("<testsuite name=\"{file}\""))?;
    let (attributes, _) = suite.split_once('>')?;
    let number = |name: &str| {
        let (_, rest) = attributes.split_once(&format!(" {name}=\""))?;
        rest.split_once('"')?.0.parse::<u64>().ok()
    };
    let (tests, failures, errors) = (number("tests")?, number("failures")?, number("errors")?);
    (tests > 0 && errors == 0).then_some(failures)
}

fn write(directory: &Path, position: usize, mutant: &Mutant, stage: usize) -> anyhow::Result<()> {
    let rules = format!("{position}.rules.yml");
    std::fs::write(directory.join(&rules), &mutant.rules)?;
    let Tests { every, text } = &mutant.tests[stage];
    let mut tests = String::new();
    test_file::beginning(&mut tests, &[&rules], *every);
    tests.push_str(text);
    std::fs::write(directory.join(test_file_name(position)), tests)?;
    Ok(())
}

fn test_file_name(position: usize) -> String {
    format!("{position}.tests.yml")
}
