//! A worker that is killed repeatedly while another one stays: nothing is lost, and repetitions are
//! recognisable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use chrono::TimeDelta;
use http::{HeaderMap, Method};
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use socialize::platform::clock::Clock;
use tempfile::TempDir;
use test_support::process::{Launch, Process, User, eventually};
use test_support::{TestDatabase, python_tool};
use tokio::net::TcpListener;

const KILLS: usize = 50;
/// Number of e-mails, and of items to be published.
const JOBS_BETWEEN_KILLS: usize = 10;
/// Number of concurrent jobs of a kind per worker, which is the maximum number of repetitions per kill.
const CONCURRENCY: usize = 4;
/// Seed of the kill times.
const SEED: u64 = 1;

/// The mail server of the background tests.
struct MailServer {
    process: Child,
    directory: TempDir,
    port: u16,
}

impl MailServer {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut process = Command::new(python_tool("python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/background/mail_server.py"))
            .arg(directory.path().join("messages"))
            .args(["accept", "none"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a mail server");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        Self { port: line.trim().parse().expect("a port"), process, directory }
    }

    /// Number of copies of each e-mail, by recipient and by Message-ID, and the number of e-mails from
    /// `sender`.
    fn received(&self, sender: &str) -> (BTreeMap<String, BTreeMap<String, usize>>, usize) {
        let text = fs::read_to_string(self.directory.path().join("messages")).unwrap_or_default();
        let mut received: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut from_sender = 0;
        for line in text.lines() {
            let message: Value = serde_json::from_str(line).expect("a message");
            let recipient = message["to"][0].as_str().expect("a recipient").to_owned();
            // The part before the @ is the job's, the rest is the sender's domain.
            let id = message["content"].as_str().and_then(|content| content.split("Message-ID: <").nth(1));
            let id = id.and_then(|id| id.split('@').next()).expect("a Message-ID").to_owned();
            *received.entry(recipient).or_default().entry(id).or_default() += 1;
            from_sender += usize::from(message["from"] == sender);
        }
        (received, from_sender)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A request to a publishing endpoint.
#[derive(Clone)]
struct Delivery {
    content_item: String,
    webhook_id: String,
    trace_id: String,
}

/// A publishing endpoint that accepts everything.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let received: Arc<Mutex<Vec<Delivery>>> = Arc::default();
        let deliveries = received.clone();
        let take = async move |headers: HeaderMap, Json(body): Json<Value>| {
            let header = |name: &str| headers[name].to_str().expect("text").to_owned();
            let delivery = Delivery {
                content_item: body["data"]["content_item_id"].as_str().expect("an id").to_owned(),
                webhook_id: header("webhook-id"),
                trace_id: header("traceparent").split('-').nth(1).expect("a trace id").to_owned(),
            };
            deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
        };
        let router = Router::new().route("/", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, received }
    }

    fn received(&self) -> Vec<Delivery> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost() {
    let database = TestDatabase::create().await;
    let mail = MailServer::start();
    let receiver = Receiver::start().await;
    let worker = |sender: &str| {
        Launch::role("work", database.url())
            .without("SOCIALIZE_MAIL_DIRECTORY")
            .variable("SOCIALIZE_SMTP_URL", format!("smtp://127.0.0.1:{}?tls=none", mail.port))
            .variable("SOCIALIZE_MAIL_FROM", sender)
            .variable("SOCIALIZE_PUBLISHING_TRACE_CONTEXT", "true")
            .variable("SOCIALIZE_JOB_CONCURRENCY", CONCURRENCY.to_string())
            .variable("SOCIALIZE_JOB_LEASE", "2s")
            .variable("SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS", "127.0.0.1")
    };
    let server = Launch::serve(database.url())
        .without_worker()
        .variable("SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS", "127.0.0.1")
        .start_ready()
        .await;
    let survivor = worker("survivor@survivor.example").start().await;
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut recipients, mut items) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..KILLS {
        let victim = worker("victim@victim.example").start().await;
        // A new user, because one user may not invite as many people in a day as this test does.
        let user = User::insert(database.pool()).await;
        let workspace = new_workspace(&server, &user, &receiver.url).await;
        recipients.extend(invite_colleagues(&server, &user, &workspace, kill).await);
        items.extend(schedule_items(&server, &user, &workspace).await);
        // Random delay, so that the kill comes at an arbitrary moment.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
        victim.signal(Signal::SIGKILL);
    }
    assert_eq!((recipients.len(), items.len()), (KILLS * JOBS_BETWEEN_KILLS, KILLS * JOBS_BETWEEN_KILLS));

    eventually("the end of all jobs", async || (open_jobs(&database).await == 0).then_some(())).await;
    let dead: i64 = sqlx::query_scalar("select count(*) from jobs where status = 'dead'")
        .fetch_one(database.pool())
        .await
        .expect("a count");
    assert_eq!(dead, 0);
    let (received, from_survivor) = mail.received("survivor@survivor.example");
    assert_eq!(received.keys().cloned().collect::<BTreeSet<_>>(), recipients, "every e-mail, and no other");
    assert!(received.values().all(|ids| ids.len() == 1), "what came twice says so: {received:?}");
    let deliveries: usize = received.values().flat_map(|ids| ids.values()).sum();
    assert!(deliveries <= recipients.len() + KILLS * CONCURRENCY, "{deliveries}");
    assert!(deliveries > from_survivor, "the others have delivered as well, or nothing was tried");

    let published = receiver.received();
    let mut webhook_ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for delivery in &published {
        webhook_ids.entry(&delivery.content_item).or_default().insert(&delivery.webhook_id);
    }
    assert!(webhook_ids.keys().copied().eq(items.iter()), "every item, and no other");
    assert!(webhook_ids.values().all(|ids| ids.len() == 1), "what came twice says so: {webhook_ids:?}");
    assert!(published.len() <= items.len() + KILLS * CONCURRENCY, "{}", published.len());
    let statuses: Vec<(String, i64)> =
        sqlx::query_as("select status, count(*) from content_items group by status")
            .fetch_all(database.pool())
            .await
            .expect("statuses");
    assert_eq!(statuses, [("published".to_owned(), items.len() as i64)]);

    // The surviving worker's counts are exact, in lines and in metrics.
    let labels = [("outcome", "delivered"), ("template", "workspace_invite")];
    let metrics = survivor.metrics().await;
    assert_eq!(metrics.value("socialize_email_deliveries_total", &labels), from_survivor as f64);
    let calls = metrics
        .sum("http_client_request_duration_seconds_count", &[("service_peer_name", "publishing_endpoint")]);
    eventually("a line for each e-mail and for each call", async || {
        let emails = survivor.events("email.delivery");
        let delivered = emails.iter().filter(|line| line["outcome"] == "delivered").count();
        let lines = survivor.events("http.client.request");
        let traces: BTreeSet<&str> = lines.iter().filter_map(|line| line["trace_id"].as_str()).collect();
        let its_own = published.iter().filter(|delivery| traces.contains(&delivery.trace_id[..])).count();
        let is_told = delivered == from_survivor && lines.len() as f64 == calls && its_own as f64 == calls;
        is_told.then_some(())
    })
    .await;
    assert!(calls > 0.0 && calls < published.len() as f64, "both have delivered");
}

/// Creates an object and returns its id.
async fn create(server: &Process, user: &User, path: &str, body: Value) -> String {
    server.call(Method::POST, path, &[user.header()], &body).await.expect(201).text("id")
}

/// A workspace of a new organization, which publishes to `url`.
async fn new_workspace(server: &Process, user: &User, url: &str) -> String {
    let organization = create(server, user, "/v1/organizations", json!({"name": "A"})).await;
    let workspace = json!({"name": "W", "required_approvals": 1, "allow_self_approval": true});
    let path = format!("/v1/organizations/{organization}/workspaces");
    let workspace = create(server, user, &path, workspace).await;
    let endpoint = format!("/v1/workspaces/{workspace}/publishing-endpoint");
    server.call(Method::PUT, &endpoint, &[user.header()], &json!({"url": url})).await.expect(201);
    workspace
}

/// Approves items, schedules them for the near future, and returns their ids.
async fn schedule_items(server: &Process, user: &User, workspace: &str) -> Vec<String> {
    let mut items = Vec::new();
    for _ in 0..JOBS_BETWEEN_KILLS {
        let path = format!("/v1/workspaces/{workspace}/content-items");
        let item = json!({"title": "T", "body": "B", "channel": "x"});
        let item = create(server, user, &path, item).await;
        let path = format!("{path}/{item}");
        let act = async |action: &str, body: Value, status: u16| {
            server
                .call(Method::POST, &format!("{path}/{action}"), &[user.header()], &body)
                .await
                .expect(status);
        };
        act("submit", Value::Null, 200).await;
        act("decisions", json!({"decision": "approve", "revision": 1}), 201).await;
        let soon = Clock::default().now() + TimeDelta::milliseconds(200);
        act("schedule", json!({"scheduled_at": soon}), 200).await;
        items.push(item);
    }
    items
}

/// Invites colleagues and returns their addresses.
async fn invite_colleagues(server: &Process, user: &User, workspace: &str, kill: usize) -> Vec<String> {
    let mut recipients = Vec::new();
    for number in 0..JOBS_BETWEEN_KILLS {
        let email = format!("colleague-{kill}-{number}@example.com");
        let path = format!("/v1/workspaces/{workspace}/invites");
        create(server, user, &path, json!({"email": email, "role": "author"})).await;
        recipients.push(email);
    }
    recipients
}

async fn open_jobs(database: &TestDatabase) -> i64 {
    let count =
        "select count(*) from jobs where status <> 'dead' and kind in ('send_email', 'publish_content_item')";
    sqlx::query_scalar(count).fetch_one(database.pool()).await.expect("a count")
}
