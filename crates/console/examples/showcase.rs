//! Serves the pages with generated data, to look at them: `cargo run -p console --example showcase`, then open
//! <http://127.0.0.1:3001/?token=showcase-of-the-console>.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use console::access::{Access, OwnHosts, Token};
use console::follow::FollowStatus;
use console::state::{Console, Facts, write};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[path = "../tests/showcase/mod.rs"]
mod showcase;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hours = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(7);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    let access = Access {
        hosts: OwnHosts::new(listener.local_addr()?, &[]),
        token: Token::configured("showcase-of-the-console").digest(),
        cookie: "showcase".to_owned(),
    };
    let facts = Facts { otlp_address: "127.0.0.1:4318".to_owned(), started_at: now, ..Facts::default() };
    let (_, followed) = watch::channel(FollowStatus::default());
    let stores = showcase::stores(now, hours);
    let console = Console::with_stores(access, facts, Arc::new(move || now), stores, followed);
    // Alerts need some evaluations to become firing.
    for minute in (0..15).rev() {
        write(console.rules()).evaluate_all(now - minute * 60_000, &mut console.metrics());
    }
    let (_end, ended) = watch::channel(());
    console::serve(listener, console::pages::router(Arc::new(console)), 64, ended).await;
    Ok(())
}
