//! The console's process: starts listeners and loops, and shuts them down gracefully.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use monitoring::query::Scale;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::access::{Access, OwnHosts, Token};
use crate::data_directory::DirectoryLock;
use crate::follow::{self, Batch, FollowStatus, Follower};
use crate::keep::{flush, maintain};
use crate::listener::serve;
use crate::memory;
use crate::pages::router;
use crate::receive::{self, Sink};
use crate::rules::{Alertmanager, RuleEngine};
use crate::settings::Settings;
use crate::state::{Clock, Console, Facts, SharedConsole, Stores, write};
use crate::store::lines::LineStore;
use crate::store::metrics::{Limits, MetricStore};
use crate::store::spans::SpanStore;

/// Maximum number of open connections to the pages.
const CONNECTIONS: usize = 64;
/// Interval of checks for due rules and for alerts to deliver.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Polling interval of log files.
const POLL: Duration = Duration::from_millis(500);
/// Bytes of log files to read at the start. They fill the store of lines.
const LINES_AT_START: u64 = 128 << 20;

/// Maximum wait for another console that still uses the data directory. A console whose demo was killed exits
/// within this time.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the console until SIGTERM or SIGINT. Prints the address of the OTLP receiver and the link to the
/// pages to standard error once.
///
/// # Errors
/// Fails if an address cannot be bound, or if the data directory cannot be used or another console uses it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    memory::share_heaps();
    let clock: Clock = Arc::new(now);
    let pages = bind(settings.address, "the pages", "SOCIALIZE_CONSOLE_ADDRESS").await?;
    let receiver = bind(settings.otlp_address, "the OTLP receiver", "SOCIALIZE_CONSOLE_OTLP_ADDRESS").await?;
    let address = pages.local_addr()?;
    let token = settings.token.as_deref().map_or_else(Token::random, Token::configured);
    let access = Access {
        hosts: OwnHosts::new(address, &settings.hosts),
        token: token.digest(),
        cookie: format!("socialize_console_{}", address.port()),
    };
    let facts = Facts {
        otlp_address: receiver.local_addr()?.to_string(),
        logs: settings.log_names.clone(),
        alertmanager: settings.alertmanager.as_ref().map(ToString::to_string),
        environment: settings.environment.clone(),
        started_at: clock(),
    };
    let lock = DirectoryLock::acquire(&settings.data, LOCK_PATIENCE).await?;
    let stores = open_stores(&settings, clock())?;
    let (status, followed) = watch::channel(FollowStatus::default());
    let console = Console::with_stores(access, facts, Clock::clone(&clock), stores, followed);
    let console: SharedConsole = Arc::new(console);
    let deliver = {
        let console = SharedConsole::clone(&console);
        move |batch: Batch| batch.store_in(&mut write(console.lines()))
    };
    let follower = Follower::new(settings.logs, LINES_AT_START);
    let mut background = JoinSet::new();
    background.spawn(async move {
        // It ends only with the runtime.
        let _ = follow::run(follower, interval(POLL), deliver, status).await;
    });
    let sink: Arc<dyn Sink> = Arc::clone(&console) as _;
    background.spawn(receive::serve(receiver, sink, clock));
    background.spawn(maintain(SharedConsole::clone(&console)));
    background.spawn(evaluate_rules(SharedConsole::clone(&console)));
    if let Some(base) = &settings.alertmanager {
        let alertmanager = Alertmanager::new(base).map_err(anyhow::Error::msg)?;
        write(console.rules()).notify(
            base.to_string(),
            format!("http://{address}"),
            settings.environment.clone(),
        );
        background.spawn(notify(SharedConsole::clone(&console), alertmanager));
    }
    let (end, ended) = watch::channel(());
    let serving = tokio::spawn(serve(pages, router(SharedConsole::clone(&console)), CONNECTIONS, ended));
    announce(&console.facts().otlp_address, address, &token);
    stop_request().await?;
    drop(end);
    serving.await.context("the listener of the pages failed")?;
    background.shutdown().await;
    write(console.rules()).save(console.now());
    let written = tokio::task::spawn_blocking(move || flush(&console)).await?;
    // Only now, another console may use the files.
    drop(lock);
    written.context("the traces cannot be written")
}

fn open_stores(settings: &Settings, now: i64) -> anyhow::Result<Stores> {
    let directory = |name: &str| settings.data.join(name);
    let problem = || format!("the data directory {} cannot be used", settings.data.display());
    Ok(Stores {
        metrics: MetricStore::open(&directory("metrics"), Limits::default(), now).with_context(problem)?,
        lines: LineStore::default(),
        spans: SpanStore::open(&directory("spans")).with_context(problem)?,
        rules: RuleEngine::open(&settings.data, Scale::REAL, now),
    })
}

/// Evaluates the rules that are due, every second.
async fn evaluate_rules(console: SharedConsole) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let console = SharedConsole::clone(&console);
        let evaluated = tokio::task::spawn_blocking(move || {
            write(console.rules()).tick(console.now(), &mut console.metrics());
        });
        // The panic hook prints a panic; the next iteration continues.
        let _ = evaluated.await;
    }
}

/// Sends alerts to the Alertmanager, concurrently with the evaluation, which must not wait for it.
async fn notify(console: SharedConsole, alertmanager: Alertmanager) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        alertmanager.deliver(console.rules(), console.now()).await;
    }
}

async fn bind(address: SocketAddr, of: &str, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{of} cannot listen on {address}; {setting} chooses another address"))
}

#[expect(clippy::print_stderr, reason = "the link is for the terminal only, never for a log file")]
fn announce(receiver: &str, address: SocketAddr, token: &Token) {
    let host = if address.ip().is_unspecified() {
        format!("127.0.0.1:{}", address.port())
    } else {
        address.to_string()
    };
    eprintln!("console: receives OTLP at http://{receiver}");
    eprintln!("console: http://{host}/?token={}", token.text());
    if !address.ip().is_loopback() {
        eprintln!("console: {address} can be reached from other machines, without encryption");
    }
}

async fn stop_request() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Returns the Unix time in milliseconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
