//! Long-running roles: serve requests, work on jobs, and shut down without losing either.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use catalogue::labels::Role;
use telemetry::log::LogWriterHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::app::App;
use crate::http::error::overloaded_response;
use crate::platform::interrupts::{self, Interrupts};
use crate::platform::listener::{ConnectionLimits, End, Shares, accept, until_dropped};
use crate::platform::version::VERSION;
use crate::queue::Worker;
use crate::run::client_networks::warn_at_start;
use crate::run::config::{ListenSettings, Settings};
use crate::run::operations::{self, OwnHosts};
use crate::run::start::{Started, start};
use crate::run::workers::WorkerSettings;
use crate::run::{open_files, router};

/// Number of lease renewals within one lease.
const SIGNS_OF_LIFE: u32 = 4;
/// Maximum time for closing the database connections.
const POOL_CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Maximum delay of the start by the first collection of metrics. A collector that refuses connections causes
/// none.
const FIRST_METRICS_LIMIT: Duration = Duration::from_secs(1);
/// Maximum time for flushing telemetry at exit, whatever the collector does.
const TELEMETRY_DEADLINE: Duration = Duration::from_secs(2);

/// Runs a role until the process is stopped and has shut down, or is stopped a second time.
///
/// # Errors
/// Returns an error if the process cannot start: an address is in use, or the log file cannot be written.
pub async fn run(settings: Settings, role: Role) -> anyhow::Result<ExitCode> {
    let interrupts = Interrupts::of_a_service().context("signals cannot be received")?;
    let hangups = interrupts::hangups().context("signals cannot be received")?;
    let (stop, stopped) = watch::channel(());
    let first = interrupts.clone();
    tokio::spawn(async move {
        first.first().await;
        drop(stop);
    });
    let reopen = |listening: Listening| {
        tokio::spawn(reopen_log_file(hangups, listening.log_writer));
    };
    tokio::select! {
        ended = run_until(settings, role, stopped, reopen) => ended.map(|()| ExitCode::SUCCESS),
        // Dropping the future ends work in progress. Pending lines are still written.
        code = interrupts.second() => Ok(ExitCode::from(code)),
    }
}

/// Reopens the log file at every SIGHUP, as `logrotate` and service managers expect.
async fn reopen_log_file(mut hangups: Signal, log_writer: LogWriterHandle) {
    while hangups.recv().await.is_some() {
        log_writer.reopen_file();
        tracing::event!(name: "log.reopened", tracing::Level::INFO, process.pid = std::process::id());
    }
}

/// Runs a role until the sender of `stopped` is dropped. Sends the addresses to `listening` once it listens.
///
/// # Errors
/// Returns an error if the process cannot start.
pub async fn run_until(
    settings: Settings,
    role: Role,
    stopped: watch::Receiver<()>,
    listening: impl FnOnce(Listening),
) -> anyhow::Result<()> {
    let open_files = open_files::raise_limit();
    let limits = open_files::connection_limits(&settings, open_files);
    let operations_listener = bind(settings.listen.operations, "SOCIALIZE_OPERATIONS_LISTEN").await?;
    let public_listener = match role {
        Role::Serve => Some(bind(settings.listen.public, "SOCIALIZE_LISTEN").await?),
        Role::Work => None,
    };
    let Started { app, pipeline } = start(&settings, role).await?;

    // The operations listener outlives the public one: it responds while requests drain.
    let (end_operations, operations_ended) = watch::channel(());
    let addresses = Listening {
        app: app.clone(),
        log_writer: pipeline.log_writer(),
        operations: operations_listener.local_addr()?,
        public: public_listener.as_ref().map(TcpListener::local_addr).transpose()?,
    };
    let hosts = OwnHosts::new(addresses.operations, &settings.listen.operations_hosts);
    let operations = operations::listen(operations_listener, app.clone(), hosts, operations_ended)?;
    // The router creates the series of its routes, so it must exist before the first collection.
    let public = public_listener.map(|listener| (listener, router::services(app.clone())));
    pipeline.send_first_metrics(FIRST_METRICS_LIMIT).await;
    let public = public.map(|(listener, services)| {
        let closed = drain(app.clone(), stopped.clone(), settings.process.drain_delay);
        let end = End { announced: stopped.clone(), closed };
        let shares = Shares::limited(limits, &settings.listen.trusted_peers, overloaded_response);
        tokio::spawn(accept(listener, services, shares, end, settings.process.shutdown_timeout))
    });
    let works = role == Role::Work || settings.process.serve_works;
    let worker = works.then(|| {
        let worker = WorkerSettings {
            concurrency: settings.process.job_concurrency,
            lease: settings.process.job_lease,
            heartbeat: settings.process.job_lease / SIGNS_OF_LIFE,
            gauge_interval: settings.process.gauge_interval,
            gauge_check_interval: settings.process.gauge_check_interval,
            ..WorkerSettings::default()
        };
        Worker::start(app.clone(), worker)
    });
    if role == Role::Serve {
        tokio::spawn(warn_at_start(app.clone()));
    }
    app.health.mark_started();
    announce(&addresses, &settings.listen, open_files, limits);
    listening(addresses);

    until_dropped(stopped).await;
    tracing::event!(name: "server.stopping", tracing::Level::INFO, process.pid = std::process::id());
    app.health.begin_drain();
    // Requests and jobs finish concurrently.
    let deadline = Instant::now() + settings.process.drain_delay + settings.process.shutdown_timeout;
    let worker = worker.map(|worker| tokio::spawn(worker.stop(deadline)));
    if let Some(public) = public {
        public.await.context("the public listener failed")?;
    }
    if let Some(worker) = worker {
        worker.await.context("the worker failed")?;
    }
    drop(end_operations);
    let ended = tokio::task::spawn_blocking(move || operations.join()).await?;
    ended.map_err(|_| anyhow::anyhow!("the operations listener failed"))?;
    // A connection that waits for a frozen server is never returned, and must not delay the exit.
    let _ = tokio::time::timeout(POOL_CLOSE_LIMIT, app.database.pool().close()).await;
    tracing::event!(name: "server.stopped", tracing::Level::INFO, process.pid = std::process::id());
    tokio::task::spawn_blocking(move || pipeline.shutdown(TELEMETRY_DEADLINE)).await?;
    Ok(())
}

/// A listening process.
pub struct Listening {
    pub app: App,
    /// Wakes the log writer's thread.
    pub log_writer: LogWriterHandle,
    /// Address of the operations listener.
    pub operations: SocketAddr,
    /// Address of the public listener, if the role has one.
    pub public: Option<SocketAddr>,
}

fn announce(listening: &Listening, settings: &ListenSettings, open_files: usize, limits: ConnectionLimits) {
    let address = listening.public.unwrap_or(listening.operations);
    tracing::event!(
        name: "server.started",
        tracing::Level::INFO,
        server.address = address.ip().to_string(),
        server.port = address.port(),
        operations.address = listening.operations.ip().to_string(),
        operations.port = listening.operations.port(),
        service.version = VERSION,
        process.pid = std::process::id(),
        trusted.address_peers = settings.trusted_peers.len(),
        trusted.trace_peers = settings.trusted_trace_peers.len(),
        open_files.limit = open_files,
        connections.limit = limits.all,
        connections.limit_of_one_client = limits.of_one_client,
    );
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{setting}: cannot listen on {address}"))
}

/// Ends `delay` after the stop. Meanwhile readiness fails but requests are served, so that load balancers
/// react before connections are refused.
fn drain(app: App, stopped: watch::Receiver<()>, delay: Duration) -> watch::Receiver<()> {
    let (close, closed) = watch::channel(());
    tokio::spawn(async move {
        until_dropped(stopped).await;
        app.health.begin_drain();
        tokio::time::sleep(delay).await;
        drop(close);
    });
    closed
}
