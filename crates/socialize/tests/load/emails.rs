//! Throughput of e-mails with a slow mail server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use socialize::queue::Worker;
use socialize::run::workers::WorkerSettings;
use test_support::TestApp;
use tokio::time::sleep;

use crate::Figure;

const EMAILS: usize = 1_000;
const RUN_TIME: Duration = Duration::from_millis(50);
/// Longer than the slowest rate of interest.
const PATIENCE: Duration = Duration::from_secs(240);

/// Sends a thousand queued e-mails of 50 ms each, with production settings.
pub(crate) async fn per_second() -> Figure {
    let alone = rate(1).await;
    let concurrency = WorkerSettings::default().concurrency;
    let value = rate(concurrency).await;
    let ideal = concurrency as f64 / RUN_TIME.as_secs_f64();
    let share = 100.0 * value / ideal;
    Figure { value, beside: format!("{share:.0} % of {ideal:.0}; {alone:.1} at concurrency 1") }
}

async fn rate(concurrency: usize) -> f64 {
    let test = TestApp::start().await;
    // The same number at each concurrency would take minutes.
    let emails = EMAILS * concurrency / WorkerSettings::default().concurrency;
    sqlx::query(
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at)
         select gen_random_uuid(), 'send_email', '{}', $1, 5, $1 from generate_series(1, $2)",
    )
    .bind(test.app.clock.now())
    .bind(emails as i64)
    .execute(test.pool())
    .await
    .expect("e-mails");

    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let settings = WorkerSettings {
        concurrency,
        handler: Arc::new(move |_, _| {
            let count = count.clone();
            Box::pin(async move {
                sleep(RUN_TIME).await;
                count.fetch_add(1, Relaxed);
                Ok(())
            })
        }),
        ..WorkerSettings::default()
    };
    let since = Instant::now();
    let worker = Worker::start(test.app.clone(), settings);
    while sent.load(Relaxed) < emails && since.elapsed() < PATIENCE {
        sleep(Duration::from_millis(5)).await;
    }
    let rate = sent.load(Relaxed) as f64 / since.elapsed().as_secs_f64();
    worker.stop(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    rate
}
