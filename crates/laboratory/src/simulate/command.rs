//! `laboratory simulate`: simulates users of a running Socialize.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use socialize::platform::clock::Clock;
use socialize::platform::interrupts::Interrupts;
use telemetry::ClosedSet;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep};

use super::action::Action;
use super::simulation::{Simulation, SimulationSettings};
use super::tally::{Driven, Tally};
use super::target::Target;
use crate::settings::SimulateSettings;

/// Interval of the progress lines.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Drives the target for the configured time and prints the results.
///
/// The exit code tells whether the target could be driven at all. Its responses are in the report,
/// because people also drive a Socialize that they have broken on purpose.
///
/// # Errors
/// Returns an error if the target must not be driven, the mail directory cannot be read, or the
/// report cannot be written.
pub(crate) async fn run(settings: SimulateSettings) -> anyhow::Result<ExitCode> {
    let target = Target::find(&settings.target, settings.any_host).await?;
    let interrupts = Interrupts::of_a_terminal().context("signals cannot be received")?;
    let (rate, seed) = (settings.behaviour.rate, settings.behaviour.seed);
    let length = humantime::format_duration(settings.duration);
    print(&format!("Driving {} with {rate} actions a second for {length}, seed {seed}.", target.base()))?;

    let tally = Tally::default();
    let simulation = Simulation::new(
        SimulationSettings {
            target,
            mail_directory: settings.mail_directory,
            keep_mail: None,
            publishes_to: settings.publishes_to,
            behaviour: settings.behaviour,
        },
        tally.clone(),
        Clock::default(),
    )?;
    let started = Instant::now();
    let (stop, stopped) = watch::channel(());
    let mut running = tokio::spawn(simulation.run(stopped));
    let mut tell = interval_at(started + TELL_EVERY, TELL_EVERY);
    let mut end = std::pin::pin!(sleep(settings.duration));
    loop {
        tokio::select! {
            ended = &mut running => { ended??; break }
            () = &mut end => break,
            () = interrupts.first() => break,
            _ = tell.tick() => print(&progress(started.elapsed(), &tally.snapshot()))?,
        }
    }
    drop(stop);
    if !running.is_finished() {
        tokio::select! {
            ended = &mut running => ended??,
            _ = interrupts.second() => running.abort(),
        }
    }

    let (elapsed, driven) = (started.elapsed(), tally.snapshot());
    print(&summary(&driven))?;
    if let Some(path) = &settings.report {
        let report = json!({
            "target": settings.target.as_str(),
            "seconds": elapsed.as_secs_f64(),
            "rate": rate,
            "seed": seed,
            "driven": driven.to_json(),
        });
        write_report(path, &report)?;
    }
    Ok(if driven.answered > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn progress(elapsed: Duration, driven: &Driven) -> String {
    let total = driven.total();
    format!(
        "{:>6.1} s  {} people  {} ok  {} refused as expected  {} unexpected  p95 {:.1} ms",
        elapsed.as_secs_f64(),
        driven.people,
        total.ok,
        total.refused,
        total.unexpected,
        driven.latency(0.95).as_secs_f64() * 1000.0
    )
}

/// Formats all results as a table.
pub(crate) fn summary(driven: &Driven) -> String {
    let mut lines = vec![format!("{:<24} {:>8} {:>8} {:>10}", "action", "ok", "refused", "unexpected")];
    for action in Action::ALL {
        let counts = driven.counts(*action);
        if counts.total() > 0 {
            let name = action.as_str();
            lines
                .push(format!("{name:<24} {:>8} {:>8} {:>10}", counts.ok, counts.refused, counts.unexpected));
        }
    }
    let total = driven.total();
    lines.push(format!("{:<24} {:>8} {:>8} {:>10}", "all", total.ok, total.refused, total.unexpected));
    let latency = |quantile| driven.latency(quantile).as_secs_f64() * 1000.0;
    lines.push(format!(
        "Latency: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, longest {:.1} ms.",
        latency(0.5),
        latency(0.95),
        latency(0.99),
        latency(1.0)
    ));
    if driven.held_back > 0 {
        lines.push(format!("{} actions were skipped: too many were in flight.", driven.held_back));
    }
    lines.extend(driven.unexpected().map(|(answer, count)| format!("Unexpected, {count} times: {answer}")));
    lines.join("\n")
}

/// Writes a report as JSON.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(crate) fn write_report(path: &Path, report: &serde_json::Value) -> anyhow::Result<()> {
    std::fs::write(path, format!("{report:#}\n"))
        .with_context(|| format!("the report {} cannot be written", path.display()))
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output cannot be written")
}
