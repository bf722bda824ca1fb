//! Measurements as tables.

use std::fmt::Write;
use std::time::Duration;

use crate::dashboards::Outcome;
use crate::metrics::Rules;
use crate::programs::Program;
use crate::signals::Seen;

#[expect(clippy::print_stdout, reason = "whoever runs tests for many minutes sees how far they are")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

pub(crate) struct Report {
    pub(crate) ours: usize,
    pub(crate) foreign: usize,
    /// Number of compared names, and of other programs.
    pub(crate) strangers: (usize, usize),
    pub(crate) series: Vec<(String, u64)>,
    pub(crate) rules: Rules,
    pub(crate) panels: Vec<Outcome>,
    pub(crate) seen: Seen,
    pub(crate) took: Duration,
}

impl Report {
    /// The whole report, with the programs' resource use.
    pub(crate) fn text(&self, programs: &[&Program]) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, programs);
        out
    }

    fn write(&self, out: &mut String, programs: &[&Program]) -> std::fmt::Result {
        writeln!(out, "\n{:<12} {:>12} {:>14}", "program", "memory, MB", "processor, s")?;
        for program in programs {
            let usage = program.usage();
            let megabytes = usage.bytes as f64 / 1e6;
            writeln!(out, "{:<12} {megabytes:>12.0} {:>14.1}", program.name, usage.cpu.as_secs_f64())?;
        }

        writeln!(
            out,
            "\n{:<12} {:>12} {:>14} {:>12}",
            "dashboard", "queries", "series shown", "slowest, ms"
        )?;
        let mut names: Vec<&str> = self.panels.iter().map(|outcome| &*outcome.dashboard).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let of_it: Vec<&Outcome> =
                self.panels.iter().filter(|outcome| outcome.dashboard == name).collect();
            let series: usize = of_it.iter().map(|outcome| outcome.series).sum();
            let slowest = of_it.iter().map(|outcome| outcome.took).max().unwrap_or_default();
            let slowest = slowest.as_secs_f64() * 1000.0;
            writeln!(out, "{name:<12} {:>12} {series:>14} {slowest:>12.0}", of_it.len())?;
        }

        let total: u64 = self.series.iter().map(|(_, count)| count).sum();
        writeln!(out, "\n{total} series of {} metrics of ours; the largest:", self.ours)?;
        for (name, count) in self.series.iter().take(5) {
            writeln!(out, "{count:>8}  {name}")?;
        }
        writeln!(out, "{} metrics of other programs are there as named.", self.foreign)?;
        let (names, programs) = self.strangers;
        writeln!(
            out,
            "None of the {names} names of {programs} other programs came in as ours; another service was not counted."
        )?;
        let Rules { alerts, recorded, firing } = &self.rules;
        let firing = firing.join(", ");
        writeln!(out, "{alerts} alerts and {recorded} recording rules were evaluated; firing: {firing}.")?;
        let Seen { streams, lines, metadata_keys, trace_spans, exemplars } = &self.seen;
        writeln!(
            out,
            "{lines} lines in {streams} streams of Loki, with {metadata_keys} different fields and no other."
        )?;
        writeln!(
            out,
            "A request and its job were followed through {trace_spans} spans; {exemplars} durations name their trace."
        )?;
        writeln!(out, "All of it took {:.0} s.", self.took.as_secs_f64())
    }
}
