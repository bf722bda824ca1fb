//! `laboratory demo`: a complete set-up on one machine, without configuration.
//!
//! It starts a bundled Postgres, serves the API and works on jobs in this process, lets simulated teams use
//! it over HTTP, and shows an operator's view. At the end it compares the usage counters with the database.

mod about;
mod console;
mod gauges;
mod ledger;
mod log_tail;
mod receiver;
mod report;
mod screen;
mod server;
mod steps;
mod traffic;
mod usage;
mod view;
mod view_state;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use socialize::platform::clock::Clock;
use socialize::platform::interrupts::Interrupts;
use socialize::platform::version::VERSION;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::settings::DemoSettings;
use crate::simulate::{self, Simulation, SimulationSettings, Tally, Target};
use about::About;
use ledger::{Facts, Ledger};
use receiver::Receiver;
use report::Report;
use server::Server;
use steps::Steps;
use view::View;
use view_state::{Observer, Phase};

/// Exit code that shells report for a process ended by Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;
/// Interval between two updates of the live view.
const PAINT_EVERY: Duration = Duration::from_millis(500);
/// Number of e-mails kept in the demo's directory.
const KEEP_MAIL: usize = 1_000;

/// Runs the demo until it is stopped or its duration is over.
///
/// # Errors
/// Returns an error if a prerequisite is missing; the message contains the remedy.
pub(crate) async fn run(settings: DemoSettings) -> anyhow::Result<ExitCode> {
    let interrupts = Interrupts::of_a_terminal().context("signals cannot be received")?;
    tokio::select! {
        ended = show(settings, &interrupts) => ended,
        // Dropping the future ends all its work: the terminal is restored and Postgres stops.
        _ = interrupts.second() => {
            Steps.say("\nStopped at once, without finishing work in progress.");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
    }
}

async fn show(settings: DemoSettings, interrupts: &Interrupts) -> anyhow::Result<ExitCode> {
    let (duration, report_file) = (settings.duration, settings.report.clone());
    let (behaviour, plain) = (settings.behaviour, settings.plain);
    let mail_directory = settings.data_directory.join("mail");
    let log_file = settings.data_directory.join("logs").join("socialize.jsonl");

    let server = tokio::select! {
        server = Server::start(settings, &Steps) => server?,
        () = interrupts.first() => {
            Steps.say("\nStopped before it was ready.");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    };
    let about = About {
        version: VERSION,
        behaviour,
        duration,
        console_url: server.console_url(),
        documentation_url: format!("{}/docs", server.public_url),
        health_url: format!("{}/health", server.operations_url),
        metrics_url: format!("{}/metrics", server.operations_url),
        mail_directory: mail_directory.clone(),
        log_file,
    };
    say_where(&about);

    let receiver = Receiver::start().await?;
    let tally = Tally::default();
    let target = server.public_url.parse().context("the own address is no URL")?;
    let simulation = Simulation::new(
        SimulationSettings {
            target: Target::find(&target, false).await?,
            mail_directory,
            keep_mail: Some(KEEP_MAIL),
            publishes_to: Some(receiver.url()),
            behaviour,
        },
        tally.clone(),
        Clock::default(),
    )?;
    let observer = Observer::new(server.app.clone(), tally, receiver);
    let (report, server) = act(server, simulation, observer, about, plain, interrupts).await?;
    server.stop(&Steps).await?;

    Steps.say(&format!("\n{}\n\n{}", simulate::summary(&report.state.driven), report.summary()));
    if let Some(path) = &report_file {
        simulate::write_report(path, &report.to_json())?;
        Steps.say(&format!("Written to {}.", path.display()));
    }
    Ok(if report.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say_where(about: &About) {
    let About { console_url, documentation_url, health_url, metrics_url, mail_directory, log_file, .. } =
        about;
    let (mail, log) = (mail_directory.display(), log_file.display());
    let console = console_url.as_deref().unwrap_or("not started: telemetry is sent elsewhere, or not wanted");
    Steps.say(&format!(
        "\n\
         console  {console}\n\
         API      {documentation_url}\n\
         health   {health_url}\n\
         metrics  {metrics_url}\n\
         e-mails  {mail}\n\
         log      {log}\n"
    ));
}

/// Lets simulated people use the server until the end, and draws the view.
async fn act(
    mut server: Server,
    simulation: Simulation,
    mut observer: Observer,
    about: About,
    plain: bool,
    interrupts: &Interrupts,
) -> anyhow::Result<(Report, Server)> {
    let started = Instant::now();
    let behaviour = about.behaviour;
    let (counted, facts) = watch::channel(Facts::default());
    let ledger: Ledger = server.ledger.again();
    let counting = tokio::spawn(ledger.watch(counted));
    let duration = about.duration;
    let mut end = std::pin::pin!(async {
        match duration {
            Some(duration) => tokio::time::sleep_until(started + duration).await,
            None => std::future::pending().await,
        }
    });
    let log_file = about.log_file.clone();
    let mut view = View::start(about, plain, interrupts.clone());
    let mut show = |phase, observer: &mut Observer| {
        view.show(observer.observe(phase, &facts.borrow().clone(), log_tail::newest_lines(&log_file)));
    };
    let mut ticks = interval(PAINT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);

    let (stop, stopped) = watch::channel(());
    let mut people = tokio::spawn(simulation.run(stopped));
    loop {
        tokio::select! {
            ended = &mut people => {
                ended.context("the simulation failed")??;
                bail!("the simulation ended by itself");
            }
            error = server.failed() => return Err(error),
            () = &mut end => break,
            () = interrupts.first() => break,
            _ = ticks.tick() => {
                server.require_postgres()?;
                show(Phase::Running, &mut observer);
            }
        }
    }
    // People stop first: then no request is waiting for the server.
    drop(stop);
    {
        let mut draining = std::pin::pin!(async {
            people.await.context("the simulation failed")??;
            server.drain().await
        });
        loop {
            tokio::select! {
                drained = &mut draining => {
                    drained?;
                    break;
                }
                _ = ticks.tick() => show(Phase::Draining, &mut observer),
            }
        }
    }
    let elapsed = started.elapsed();
    counting.abort();
    drop(view);

    server.require_postgres()?;
    // Everything has stopped, so signals and facts belong to the same moment.
    let facts = server.ledger.count().await?;
    let drift = server.ledger.gauge_drift().await?;
    let state = observer.observe(Phase::Draining, &facts, Vec::new());
    let requests = observer.requests().clone();
    Ok((Report { behaviour, elapsed, state, requests, drift }, server))
}
