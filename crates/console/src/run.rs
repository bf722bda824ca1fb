//! The console's process: listeners and loops, from the start to a graceful end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::access::{Access, OwnHosts, Token};
use crate::listener::serve;
use crate::pages::router;
use crate::settings::Settings;
use crate::state::{Clock, Console, Facts, SharedConsole};

/// Maximum number of open connections to the pages.
const CONNECTIONS: usize = 64;

/// Runs the console until SIGTERM or SIGINT. Prints the link to standard error once.
///
/// # Errors
/// If an address cannot be bound or the data directory cannot be used.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let clock: Clock = Arc::new(now);
    let pages = bind(settings.address, "the pages", "SOCIALIZE_CONSOLE_ADDRESS").await?;
    let address = pages.local_addr()?;
    let token = settings.token.as_deref().map_or_else(Token::random, Token::configured);
    let access = Access {
        hosts: OwnHosts::new(address, &settings.hosts),
        token: token.digest(),
        cookie: format!("socialize_console_{}", address.port()),
    };
    let facts = Facts {
        otlp_address: settings.otlp_address.to_string(),
        logs: settings.logs.clone(),
        alertmanager: settings.alertmanager.as_ref().map(ToString::to_string),
        environment: settings.environment.clone(),
        started_at: clock(),
    };
    let console: SharedConsole = Arc::new(Console::new(access, facts, clock));
    let (end, ended) = watch::channel(());
    let serving = tokio::spawn(serve(pages, router(SharedConsole::clone(&console)), CONNECTIONS, ended));
    announce(address, &token);
    stop_request().await?;
    drop(end);
    serving.await.context("the listener of the pages failed")?;
    Ok(())
}

async fn bind(address: SocketAddr, of: &str, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{of} cannot listen on {address}; {setting} chooses another address"))
}

#[expect(clippy::print_stderr, reason = "the link is for the terminal only, never for a log file")]
fn announce(address: SocketAddr, token: &Token) {
    let host = if address.ip().is_unspecified() {
        format!("127.0.0.1:{}", address.port())
    } else {
        address.to_string()
    };
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
