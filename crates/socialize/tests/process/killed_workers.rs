//! A worker that is killed again and again while another lives on: nothing is lost, and what happens twice can be recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::{TestDatabase, python_tool};

use crate::harness::{Launch, Process, User, eventually};

const KILLS: usize = 50;
const EMAILS_BETWEEN_KILLS: usize = 10;
/// As many jobs of a kind as one worker runs at once; a kill can make as many happen twice.
const CONCURRENCY: usize = 4;
/// Decides when the worker is killed. Another seed is another test.
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

    /// How often each e-mail came, by recipient and then by Message-ID, and how many came from `sender`.
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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost() {
    let database = TestDatabase::create().await;
    let mail = MailServer::start();
    let worker = |sender: &str| {
        Launch::role("work", database.url())
            .without("SOCIALIZE_MAIL_DIRECTORY")
            .variable("SOCIALIZE_SMTP_URL", format!("smtp://127.0.0.1:{}?tls=none", mail.port))
            .variable("SOCIALIZE_MAIL_FROM", sender)
            .variable("SOCIALIZE_JOB_CONCURRENCY", CONCURRENCY.to_string())
            .variable("SOCIALIZE_JOB_LEASE", "2s")
    };
    let server = Launch::serve(database.url()).without_worker().start_ready().await;
    let user = User::insert(database.pool()).await;
    let survivor = worker("survivor@survivor.example").start().await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut recipients = BTreeSet::new();
    for kill in 0..KILLS {
        let victim = worker("victim@victim.example").start().await;
        recipients.extend(invite_colleagues(&server, &user, kill).await);
        // Not a wait for anything: the kill is to come at any instant.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
        victim.signal(Signal::SIGKILL);
    }
    assert_eq!(recipients.len(), KILLS * EMAILS_BETWEEN_KILLS);

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

    // The one that lived on has counted exactly what it did, in lines as in points.
    let labels = [("outcome", "delivered"), ("template", "workspace_invite")];
    let counted = survivor.metrics().await.value("socialize_email_deliveries_total", &labels);
    assert_eq!(counted, from_survivor as f64);
    eventually("a line for each of them", async || {
        let lines = survivor.events("email.delivery");
        let delivered = lines.iter().filter(|line| line["outcome"] == "delivered").count();
        (delivered == from_survivor).then_some(())
    })
    .await;
}

/// Invites colleagues into a new workspace and returns their addresses.
async fn invite_colleagues(server: &Process, user: &User, kill: usize) -> Vec<String> {
    let create = async |path: String, body: Value| {
        server.call(Method::POST, &path, &[user.header()], &body).await.expect(201).text("id")
    };
    let organization = create("/v1/organizations".to_owned(), json!({"name": "A"})).await;
    let workspace = json!({"name": "W", "required_approvals": 1});
    let workspace = create(format!("/v1/organizations/{organization}/workspaces"), workspace).await;
    let mut recipients = Vec::new();
    for number in 0..EMAILS_BETWEEN_KILLS {
        let email = format!("colleague-{kill}-{number}@example.com");
        let invite = json!({"email": email, "role": "author"});
        create(format!("/v1/workspaces/{workspace}/invites"), invite).await;
        recipients.push(email);
    }
    recipients
}

async fn open_jobs(database: &TestDatabase) -> i64 {
    let count = "select count(*) from jobs where status <> 'dead' and kind in ('send_email')";
    sqlx::query_scalar(count).fetch_one(database.pool()).await.expect("a count")
}
