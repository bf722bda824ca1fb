//! Delay of deliveries to working endpoints beside tarpits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use domain::ids::{OrganizationId, UserId, WorkspaceId};
use socialize::platform::clock::Clock;
use socialize::platform::outbound::{OutboundSettings, OutboundTimeouts};
use socialize::queue::Worker;
use socialize::run::workers::WorkerSettings;
use test_support::TestApp;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::Figure;

const ATTACKERS: usize = 5;
const TARPITS_OF_ONE: usize = 40;
/// Interval and duration of deliveries to working endpoints. The first calls to the tarpits end within that
/// time, and many more.
const EVERY: Duration = Duration::from_millis(500);
const DELIVERIES: usize = 180;
/// One delivery in this many goes to a new endpoint of a new organization.
const NEW: usize = 10;
/// Maximum wait for the last ones.
const PATIENCE: Duration = Duration::from_secs(180);

/// Arrival times by item id.
type Arrivals = Arc<Mutex<HashMap<Uuid, DateTime<Utc>>>>;

/// 95th percentile of the delay from due time to arrival, in seconds.
pub(crate) async fn honest_delay() -> Figure {
    let clock = Clock::default();
    let outbound = OutboundSettings {
        allowed_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        extra_root_certificates: None,
        sends_trace_context: false,
        timeouts: OutboundTimeouts::default(),
    };
    let test = TestApp::start_with_outbound(outbound, None).await;
    let app = test.another_process_by(clock.clone());
    let arrivals = Arrivals::default();
    let (tarpit, honest) = (tarpit().await, endpoint(clock.clone(), arrivals.clone()).await);

    for _ in 0..ATTACKERS {
        let (organization, owner) = test.organization().await;
        for _ in 0..TARPITS_OF_ONE {
            let workspace = workspace(&test, organization, &tarpit).await;
            test.scheduled_items(workspace, owner, 20, clock.now()).await;
        }
    }
    let known = customer(&test, &honest).await;
    let worker = Worker::start(app, WorkerSettings::default());
    let began = Instant::now();
    let mut due = Vec::new();
    for number in 0..DELIVERIES {
        sleep_until(began + EVERY * number as u32).await;
        let (workspace, owner) = if number % NEW == NEW - 1 { customer(&test, &honest).await } else { known };
        let now = clock.now();
        let items = test.scheduled_items(workspace, owner, 1, now).await;
        sqlx::query("select pg_notify('socialize_jobs', '')").execute(test.pool()).await.expect("notified");
        due.push((items[0], now));
    }
    let deadline = Instant::now() + PATIENCE;
    while arrivals.lock().expect("a lock").len() < DELIVERIES && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    let slow: i64 = sqlx::query_scalar("select count(*) from publishing_endpoints where slowness >= 2")
        .fetch_one(test.pool())
        .await
        .expect("a count");
    let arrivals = arrivals.lock().expect("a lock").clone();
    worker.stop(Instant::now() + Duration::from_secs(1)).await;

    // Deliveries that have not arrived count as delayed until now.
    let now = clock.now();
    let waited =
        |item: &Uuid, due: DateTime<Utc>| (*arrivals.get(item).unwrap_or(&now) - due).as_seconds_f64();
    let mut delays: Vec<f64> = due.iter().map(|(item, due)| waited(item, *due)).collect();
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    let beside = format!(
        "median {:.2} s, longest {:.2} s, {} of {} arrived, {slow} of {} tarpits known",
        at(0.5),
        at(1.0),
        arrivals.len(),
        delays.len(),
        ATTACKERS * TARPITS_OF_ONE
    );
    Figure { value: at(0.95), beside }
}

async fn workspace(test: &TestApp, organization: OrganizationId, url: &str) -> WorkspaceId {
    let workspace = test.workspace(organization, 1).await;
    test.publish_to(workspace, url).await;
    workspace
}

async fn customer(test: &TestApp, url: &str) -> (WorkspaceId, UserId) {
    let (organization, owner) = test.organization().await;
    (workspace(test, organization, url).await, owner)
}

/// Accepts connections and never responds.
async fn tarpit() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, _writer) = stream.into_split();
                let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            });
        }
    });
    url
}

/// Accepts everything at once and records the time.
async fn endpoint(clock: Clock, arrivals: Arrivals) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let take = move |body: Bytes| {
        let (now, arrivals) = (clock.now(), arrivals.clone());
        async move {
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let item = body["data"]["content_item_id"].as_str().expect("an id").parse().expect("an id");
            arrivals.lock().expect("a lock").entry(item).or_insert(now);
            StatusCode::NO_CONTENT
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    url
}
