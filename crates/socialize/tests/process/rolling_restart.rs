//! Replicas are replaced one after the other under load: no request fails, and all replicas act as one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use nix::sys::signal::Signal;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use test_support::process::{Launch, Process, User, eventually};
use test_support::{S3_BUCKET, S3_KEY, S3Server, TestDatabase};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Number of concurrent users.
const PEOPLE: usize = 6;

/// TCP balancer that forwards each connection to a ready replica.
#[derive(Clone)]
struct Balancer {
    address: SocketAddr,
    replicas: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let balancer = Self { address: listener.local_addr().expect("an address"), replicas: Arc::default() };
        let forwarding = balancer.clone();
        tokio::spawn(async move {
            let mut next = 0;
            loop {
                let (mut client, _) = listener.accept().await.expect("a connection");
                next += 1;
                let replicas = forwarding.replicas();
                let replica = replicas[next % replicas.len()];
                tokio::spawn(async move {
                    // The client sees a closed connection, as with any balancer that chose a wrong replica.
                    let Ok(mut server) = TcpStream::connect(replica).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        balancer
    }

    fn replicas(&self) -> Vec<SocketAddr> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, replica: &Process) {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner).push(replica.public());
    }

    /// Polls the replica's readiness like a real balancer, and removes it once it is not ready.
    async fn remove_when_unready(&self, replica: &Process) {
        eventually("readiness to fail", async || (replica.ready().await == 503).then_some(())).await;
        let address = replica.public();
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != address);
    }
}

/// Actions of people and their results.
#[derive(Default)]
struct Seen {
    /// Number of sent invites, each to another address.
    sent: AtomicU64,
    accepted: AtomicU64,
    trouble: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Seen {
    fn trouble(&self) -> Vec<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Well below the daily limit of invites per user.
const INVITES_OF_ONE_PERSON: usize = 50;

/// Works as one user after another until the test ends.
async fn work(seen: Arc<Seen>, url: String, database: PgPool) {
    while !seen.is_over.load(Ordering::Relaxed) && seen.trouble().is_empty() {
        work_as(&seen, &url, &User::insert(&database).await).await;
    }
}

/// Creates an organization and workspaces and invites somebody into each, over kept connections.
async fn work_as(seen: &Seen, url: &str, user: &User) {
    let client = Client::builder().no_proxy().build().expect("a client");
    let call = async |request: RequestBuilder, expected: StatusCode| {
        let problem = match request.header("authorization", &user.authorization).send().await {
            Ok(answer) if answer.status() == expected => {
                return test_support::process::read(answer).await.body;
            }
            Ok(answer) => format!("{} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => format!("{error:?}"),
        };
        seen.trouble.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        Value::Null
    };
    let organization = client.post(format!("{url}/organizations")).json(&json!({"name": "A"}));
    let organization = call(organization, StatusCode::CREATED).await;
    let Some(organization) = organization["id"].as_str() else { return };
    for _ in 0..INVITES_OF_ONE_PERSON {
        if seen.is_over.load(Ordering::Relaxed) || !seen.trouble().is_empty() {
            return;
        }
        let workspaces = format!("{url}/organizations/{organization}/workspaces");
        let workspace = json!({"name": "W", "required_approvals": 1});
        let workspace = call(client.post(workspaces).json(&workspace), StatusCode::CREATED).await;
        let Some(workspace) = workspace["id"].as_str() else { return };
        let invites = format!("{url}/workspaces/{workspace}/invites");
        let email = format!("colleague{}@example.com", seen.sent.fetch_add(1, Ordering::Relaxed));
        let invite = json!({"email": email, "role": "author"});
        if !call(client.post(&invites).json(&invite), StatusCode::CREATED).await.is_null() {
            seen.accepted.fetch_add(1, Ordering::Relaxed);
        }
        call(client.get(&invites), StatusCode::OK).await;
    }
}

/// Periodic jobs, each of which must run in one process only.
const PERIODIC: [&str; 5] =
    ["expire_invites", "clean_up_tokens", "clean_up_blobs", "remind_stale_approvals", "give_up_publishing"];

/// Four replicas of the API, two workers, one database and one bucket.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_and_no_e_mail_is_lost() {
    let database = TestDatabase::create().await;
    let mail = tempfile::tempdir().expect("a directory");
    let bucket = S3Server::start();
    let launch = |role| {
        Launch::role(role, database.url())
            .variable("SOCIALIZE_MAIL_DIRECTORY", mail.path())
            .variable("SOCIALIZE_GAUGE_INTERVAL", "500ms")
            .variable("SOCIALIZE_ORGANIZATIONS_PER_USER", "3")
            .without("SOCIALIZE_BLOBS_DIRECTORY")
            .variables(&[("SOCIALIZE_S3_BUCKET", S3_BUCKET), ("SOCIALIZE_S3_ENDPOINT", bucket.url())])
            .variables(&[
                ("SOCIALIZE_S3_ACCESS_KEY_ID", S3_KEY.0),
                ("SOCIALIZE_S3_SECRET_ACCESS_KEY", S3_KEY.1),
            ])
            // Uses the default, as an operator who has not set it.
            .without("SOCIALIZE_DRAIN_DELAY")
    };
    let replica = async || launch("serve").without_worker().start_ready().await;
    let workers = [launch("work").start().await, launch("work").start().await];
    let balancer = Balancer::start().await;
    let mut replicas = [replica().await, replica().await, replica().await, replica().await];
    replicas.iter().for_each(|replica| balancer.add(replica));

    let url = format!("http://{}/v1", balancer.address);
    let seen: Arc<Seen> = Arc::default();
    let mut people = JoinSet::new();
    for _ in 0..PEOPLE {
        people.spawn(work(seen.clone(), url.clone(), database.pool().clone()));
    }
    let work_goes_on = async |what: &str| {
        let before = seen.accepted.load(Ordering::Relaxed);
        eventually(what, async || {
            let trouble = seen.trouble();
            assert!(trouble.is_empty(), "{what}: {} requests failed: {:?}", trouble.len(), trouble.first());
            (seen.accepted.load(Ordering::Relaxed) > before + 30).then_some(())
        })
        .await;
    };
    work_goes_on("work before the restart").await;
    for replaced in &mut replicas {
        replaced.signal(Signal::SIGTERM);
        balancer.remove_when_unready(replaced).await;
        let status = replaced.wait_for_exit().await;
        assert_eq!(status.code(), Some(0), "{}", replaced.standard_error());
        *replaced = replica().await;
        balancer.add(replaced);
        work_goes_on("work on all replicas").await;
    }
    seen.is_over.store(true, Ordering::Relaxed);
    people.join_all().await;

    assert_eq!(seen.trouble(), Vec::<String>::new());
    let accepted = seen.accepted.load(Ordering::Relaxed);
    let invites: i64 = sqlx::query_scalar("select count(*) from workspace_invites")
        .fetch_one(database.pool())
        .await
        .expect("a count");
    assert_eq!(invites.cast_unsigned(), accepted, "what was accepted is there, once");
    eventually("an e-mail for each invite", async || {
        let entries = std::fs::read_dir(mail.path()).expect("a directory").flatten();
        let emails =
            entries.filter(|entry| entry.path().extension().is_some_and(|name| name == "eml")).count();
        (emails as u64 == accepted).then_some(())
    })
    .await;
    quotas_hold_together(&url, &database).await;
    files_are_shared(&replicas, &database).await;
    periodic_jobs_run_once(&workers, &database).await;
    one_samples(&workers).await;
}

async fn quotas_hold_together(url: &str, database: &TestDatabase) {
    let user = User::insert(database.pool()).await;
    let create = async || {
        // One connection per request, so that all replicas are used.
        let client = Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("{url}/organizations")).json(&json!({"name": "A"}));
        request.header("authorization", &user.authorization).send().await.expect("an answer").status()
    };
    let statuses = futures_util::future::join_all((0..16).map(|_| create())).await;
    let created = statuses.iter().filter(|status| **status == StatusCode::CREATED).count();
    let refused = statuses.iter().filter(|status| **status == StatusCode::FORBIDDEN).count();
    assert_eq!((created, refused), (3, 13));
}

async fn files_are_shared(replicas: &[Process], database: &TestDatabase) {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";
    let user = User::insert(database.pool()).await;
    let (headers, body) = ([user.header()], json!({"kind": "idea", "body": "A picture"}));
    let report = replicas[0].call(Method::POST, "/v1/feedback-reports", &headers, &body).await.expect(201);
    let path = format!("/v1/feedback-reports/{}/screenshot", report.text("id"));
    let (name, value) = user.header();
    let put = replicas[0].client().put(format!("http://{}{path}", replicas[0].public()));
    put.header(name, value).body(PNG).send().await.and_then(Response::error_for_status).expect("stored");
    for replica in replicas {
        let got = replica.call(Method::GET, &path, &headers, &json!(null)).await.expect(200);
        assert_eq!(got.bytes, PNG);
    }
}

async fn periodic_jobs_run_once(workers: &[Process], database: &TestDatabase) {
    let runs = async |kind| {
        let mut runs = 0.0;
        for worker in workers {
            let labels = [("job_kind", kind)];
            runs += worker.metrics().await.sum("socialize_job_run_duration_seconds_count", &labels);
        }
        runs
    };
    let due = "update periodic_jobs set next_run_at = now() - interval '1 second'";
    let due = sqlx::query(due).execute(database.pool()).await.expect("periodic jobs");
    assert_eq!(due.rows_affected(), PERIODIC.len() as u64);
    for kind in PERIODIC {
        eventually(kind, async || (runs(kind).await >= 1.0).then_some(())).await;
    }
    for kind in PERIODIC {
        assert_eq!(runs(kind).await, 1.0, "{kind}");
    }
}

async fn one_samples(workers: &[Process]) {
    const LAST_SUCCESS: &str = "socialize_sampler_last_success_time_seconds";
    let mut sampling = 0;
    for worker in workers {
        sampling += usize::from(worker.metrics().await.sum(LAST_SUCCESS, &[]) > 0.0);
    }
    assert_eq!(sampling, 1);
}
