//! Memory held by clients that do not read, and requests lost between requests and between processes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use nix::sys::signal::Signal;
use reqwest::{Client, Response};
use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, User, longest_list};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use crate::Figure;

const MIB: f64 = (1 << 20) as f64;

/// Clients that send requests but do not read.
const CLIENTS_OVER_HTTP_1: usize = 200;
const CLIENTS_OVER_HTTP_2: usize = 25;
const STREAMS: usize = 190;

/// Measures the maximum resident memory while 200 HTTP/1 clients and 25 HTTP/2 clients with closed windows do
/// not read.
pub(crate) async fn unread_mib() -> Figure {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let process = Launch::serve(database.url()).start_ready().await;
    let path = longest_list(&process, &user, database.pool()).await;
    let before = process.resident_bytes() as f64 / MIB;

    let head = format!("host: localhost\r\nauthorization: {}\r\n", user.authorization);
    let requests = format!("GET {path} HTTP/1.1\r\n{head}\r\n").repeat(10);
    let mut over_http_1 = Vec::new();
    for _ in 0..CLIENTS_OVER_HTTP_1 {
        let mut stream = TcpStream::connect(process.public()).await.expect("a connection");
        // A server that refuses the connection need not read.
        let _ = stream.write_all(requests.as_bytes()).await;
        over_http_1.push(stream);
    }
    let mut over_http_2: JoinSet<Option<Response>> = JoinSet::new();
    for _ in 0..CLIENTS_OVER_HTTP_2 {
        let client = Client::builder().no_proxy().http2_prior_knowledge().http2_initial_stream_window_size(1);
        let client = client.build().expect("a client");
        for _ in 0..STREAMS {
            let request = client.get(format!("http://{}/openapi.json", process.public()));
            over_http_2.spawn(async move { request.send().await.ok() });
        }
    }
    let (mut highest, mut slowest, mut refused) = (0_f64, Duration::ZERO, 0);
    for _ in 0..100 {
        highest = highest.max(process.resident_bytes() as f64 / MIB);
        let asked = Instant::now();
        let answer = process.call(Method::GET, "/v1/organizations", &[user.header()], &Value::Null).await;
        // The first burst takes all database connections for a moment.
        refused += usize::from(answer.status != 200);
        slowest = slowest.max(asked.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    Figure {
        value: highest,
        beside: format!(
            "{before:.0} MiB before; of 100 others {refused} are refused, and they wait at most {:.0} ms",
            slowest.as_secs_f64() * 1e3
        ),
    }
}

/// Number of requests that are rejected before their body arrives.
const REFUSED: usize = 400;

/// Counts requests that fail because they follow a rejected one on the same connection.
pub(crate) async fn broken_followups() -> Figure {
    let database = TestDatabase::create().await;
    let process = Launch::serve(database.url()).start_ready().await;
    let address = process.public();
    let (mut broken, mut told) = (0, 0);
    let mut waiting = REFUSED;
    while waiting > 0 {
        let mut playing = JoinSet::new();
        for _ in 0..waiting.min(20) {
            playing.spawn(follow_up(address));
            waiting -= 1;
        }
        for followed in playing.join_all().await {
            match followed {
                Ok(true) => {}
                Ok(false) => told += 1,
                Err(_) => broken += 1,
            }
        }
    }
    Figure {
        value: f64::from(broken),
        beside: format!("of {REFUSED}; {told} were told that the connection ends"),
    }
}

/// Sends a request that is rejected before its body, and another one. Returns whether the connection was
/// reusable, and an error if it broke without notice.
async fn follow_up(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream
        .write_all(
            b"POST /v1/organizations HTTP/1.1\r\n\
              host: localhost\r\n\
              content-type: application/json\r\n\
              content-length: 12\r\n\
              \r\n",
        )
        .await?;
    sleep(Duration::from_millis(5)).await;
    stream.write_all(br#"{"name":"A"}"#).await?;
    let refused = read_response(&mut stream).await?;
    assert!(refused.starts_with("http/1.1 401"), "{refused}");
    if refused.contains("connection: close") {
        return Ok(false);
    }
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let answered = read_response(&mut stream).await?;
    assert!(answered.starts_with("http/1.1 200"), "{answered}");
    Ok(true)
}

/// Reads a response that arrives in one piece, in lower case.
async fn read_response(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut response = [0; 4096];
    let read =
        timeout(Duration::from_secs(30), stream.read(&mut response)).await.expect("a response in time")?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&response[..read]).to_ascii_lowercase())
}

const RESTARTS: usize = 6;
/// Requests per second, in total.
const RATE: u64 = 200;
const PEOPLE: u64 = 20;
/// Interval of the balancer's readiness probes. It acts on the first result.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A TCP balancer that skips replicas which are not ready.
#[derive(Clone, Default)]
struct Balancer {
    ready: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let (address, balancer) = (listener.local_addr().expect("an address"), self.clone());
        tokio::spawn(async move {
            for round in 0.. {
                let Ok((mut client, _)) = listener.accept().await else { continue };
                let ready = balancer.ready();
                let Some(replica) = ready.get(round % ready.len().max(1)).copied() else { continue };
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(replica).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        address
    }

    fn ready(&self) -> Vec<SocketAddr> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn probe(&self, replica: SocketAddr) {
        let ready = self.ready.clone();
        let client = Client::builder().no_proxy().timeout(PROBE_EVERY).build().expect("a client");
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(replica);
        tokio::spawn(async move {
            let mut ticks = interval(PROBE_EVERY);
            loop {
                ticks.tick().await;
                let answer = client.get(format!("http://{replica}/health/ready")).send().await;
                if !answer.is_ok_and(|answer| answer.status() == 200) {
                    ready.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != replica);
                    return;
                }
            }
        });
    }
}

/// Counts lost requests while replicas are replaced one after the other, with production settings.
pub(crate) async fn lost_requests() -> Figure {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let replica = async || Launch::serve(database.url()).without("SOCIALIZE_DRAIN_DELAY").start_ready().await;
    let balancer = Balancer::default();
    let address = balancer.start().await;
    let mut replicas = [replica().await, replica().await];
    replicas.iter().for_each(|replica| balancer.probe(replica.public()));

    let (sent, lost) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let is_over = Arc::<AtomicBool>::default();
    let mut people = JoinSet::new();
    for _ in 0..PEOPLE {
        let (sent, lost, is_over) = (sent.clone(), lost.clone(), is_over.clone());
        let authorization = user.authorization.clone();
        people.spawn(async move {
            let client = Client::builder().no_proxy().build().expect("a client");
            let mut ticks = interval(Duration::from_millis(1000 * PEOPLE / RATE));
            while !is_over.load(Relaxed) {
                ticks.tick().await;
                let request = client.get(format!("http://{address}/v1/organizations"));
                let answer = request.header("authorization", &authorization).send().await;
                sent.fetch_add(1, Relaxed);
                if !answer.is_ok_and(|answer| answer.status() == 200) {
                    lost.fetch_add(1, Relaxed);
                }
            }
        });
    }
    sleep(Duration::from_secs(1)).await;
    for round in 0..RESTARTS {
        let replaced = &mut replicas[round % 2];
        replaced.signal(Signal::SIGTERM);
        replaced.wait_for_exit().await;
        *replaced = replica().await;
        balancer.probe(replaced.public());
        sleep(Duration::from_secs(1)).await;
    }
    is_over.store(true, Relaxed);
    people.join_all().await;
    Figure { value: lost.load(Relaxed) as f64, beside: format!("of {}", sent.load(Relaxed)) }
}
