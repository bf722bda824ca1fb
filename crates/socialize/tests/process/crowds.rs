//! Clients that open many connections or do not read. They harm only themselves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Method;
use reqwest::{Client, Response};
use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, PATIENCE, Process, User, eventually, longest_list};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Clients can connect from every address of the loopback network.
fn stranger(last: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 9, u8::try_from(last).expect("an address"))
}

async fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((source, 0))).expect("a loopback address");
    timeout(PATIENCE, socket.connect(to)).await.expect("accepted in time").expect("a connection")
}

fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 16]);
    matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = [0; 4096];
    let read =
        timeout(PATIENCE, stream.read(&mut answer)).await.expect("answered in time").expect("an answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

fn open_files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).expect("a living process").count()
}

/// Users, the operator and health checks are unaffected.
async fn assert_served(process: &Process, user: &User) {
    process.call(Method::GET, "/v1/organizations", &[user.header()], &Value::Null).await.expect(200);
    // On a busy machine two checks in a row can be slow.
    eventually("readiness", async || (process.ready().await == 200).then_some(())).await;
    process.operations_get("/health/live").await.expect(200);
    process.metrics().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_blind_nobody() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let mut process =
        Launch::serve_after("ulimit -S -n 256 && ulimit -H -n 600", database.url()).start_ready().await;
    let started = &process.events("server.started")[0];
    // The files left after the process's own, and a quarter of those.
    assert_eq!(started["open_files.limit"], 600, "the soft limit is raised: {started}");
    assert_eq!(
        (&started["connections.limit"], &started["connections.limit_of_one_client"]),
        (&382.into(), &96.into())
    );

    let mut kept = connect_from(Ipv4Addr::LOCALHOST, process.public()).await;
    assert!(ask(&mut kept, "/nothing").await.starts_with("HTTP/1.1 404"));
    let mut crowd = Vec::new();
    for number in 0..1_200 {
        crowd.push(connect_from(stranger(1 + number % 120), process.public()).await);
        if number % 300 == 0 {
            assert_served(&process, &user).await;
        }
    }
    eventually("idle connections are closed", async || {
        (crowd.iter().filter(|stream| is_open(stream)).count() <= 382).then_some(())
    })
    .await;
    assert!(open_files(&process) < 600, "{}", open_files(&process));
    assert_served(&process, &user).await;
    // The crowd closed its own connections, not those of others.
    assert!(is_open(&kept));
    assert!(ask(&mut kept, "/nothing").await.starts_with("HTTP/1.1 404"));
    process.line("a line", |line| line["event"] == "connections.limit_reached").await;
    drop(crowd);
    process.stop().await;
}

#[tokio::test]
async fn one_network_has_its_share_of_connections_and_a_trusted_proxy_all() {
    for (trusted, expected) in [("", 16), ("127.0.9.0/24", 40)] {
        let database = TestDatabase::create().await;
        let mut process = Launch::serve(database.url())
            .variables(&[("SOCIALIZE_CONNECTIONS", "64"), ("SOCIALIZE_TRUSTED_PEERS", trusted)])
            .start_ready()
            .await;
        let mut crowd = Vec::new();
        for _ in 0..40 {
            crowd.push(connect_from(stranger(1), process.public()).await);
        }
        process.get("/nothing").await.expect_error(404, "not_found");
        let open = async || crowd.iter().filter(|stream| is_open(stream)).count();
        eventually("its share is left", async || (open().await == expected).then_some(())).await;
        process.stop().await;
    }
}

/// Maximum memory that clients which do not read may cost. Unread responses of one client network hold 12
/// MiB; the rest is for connections and the allocator's reserve.
const MOST_GROWTH: u64 = 48 << 20;

/// Sends requests over HTTP/1 without reading responses.
async fn send_and_never_read(address: SocketAddr, path: &str, user: &User) -> TcpStream {
    let mut stream = connect_from(stranger(1), address).await;
    let authorization = &user.authorization;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: {authorization}\r\n\r\n");
    stream.write_all(request.repeat(30).as_bytes()).await.expect("sent");
    stream
}

/// Sends requests over HTTP/2, one after the other, with a response window of one byte. Returns the started
/// ones.
async fn send_with_a_closed_window(url: String, authorization: String) -> Vec<Response> {
    let client = Client::builder()
        .no_proxy()
        .local_address(std::net::IpAddr::from(stranger(1)))
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(1)
        .build()
        .expect("a client");
    let mut begun = Vec::new();
    for _ in 0..30 {
        let request = client.get(&url).header("authorization", &authorization);
        if let Ok(Ok(response)) = timeout(Duration::from_secs(5), request.send()).await {
            begun.push(response);
        }
    }
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_cost_little_and_are_given_up() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let mut process = Launch::serve(database.url()).without_worker().start_ready().await;
    let path = longest_list(&process, &user, database.pool()).await;
    let read = async || process.call(Method::GET, &path, &[user.header()], &Value::Null).await.expect(200);
    let size = read().await.bytes.len();
    assert!(size > 250 << 10, "{size} bytes are worth a test");
    assert_served(&process, &user).await;
    let tasks = async || process.metrics().await.value("socialize_runtime_tasks", &[]);
    let (before, tasks_before) = (process.resident_bytes(), tasks().await);

    let mut over_http_1 = Vec::new();
    let mut over_http_2 = JoinSet::new();
    let url = format!("http://{}{path}", process.public());
    for _ in 0..10 {
        over_http_1.push(send_and_never_read(process.public(), &path, &user).await);
        over_http_2.spawn(send_with_a_closed_window(url.clone(), user.authorization.clone()));
    }
    let (mut begun, mut most) = (Vec::new(), 0);
    while let Some(responses) = over_http_2.join_next().await {
        begun.push(responses.expect("no panic"));
        most = most.max(process.resident_bytes().saturating_sub(before));
    }
    assert!(begun.iter().map(Vec::len).sum::<usize>() > 100, "most requests are answered");
    assert!(most < MOST_GROWTH, "{} MiB more", most >> 20);
    // Others get their responses meanwhile, large or small.
    assert_eq!(read().await.bytes.len(), size);
    assert_served(&process, &user).await;

    // The clients, which still do not read, are disconnected.
    eventually("no stream or connection waits any more", async || {
        (tasks().await < tasks_before + 30.0).then_some(())
    })
    .await;
    drop((over_http_1, begun));
    process.stop().await;
}
