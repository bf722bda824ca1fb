//! Requests that are rejected before their body was read. The connection stays usable or its end is
//! announced; the client always receives the response and never a reset.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use reqwest::Client;
use test_support::TestDatabase;
use test_support::process::{Launch, PATIENCE, Process, User};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Long enough for the server to respond before the body arrives.
const PAUSE: Duration = Duration::from_millis(20);

/// A request that gets a response without its body being read.
#[derive(Clone)]
struct Refusal {
    address: SocketAddr,
    status: u16,
    method: Method,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    fn new(address: SocketAddr, status: u16, method: Method, path: &'static str) -> Self {
        let headers = vec![("host", "localhost".to_owned()), ("content-type", "application/json".to_owned())];
        Self { address, status, method, path, headers }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    fn head(&self, framing: &str) -> String {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{} {} HTTP/1.1\r\n{headers}{framing}\r\n", self.method, self.path)
    }
}

/// A body on the wire.
#[derive(Clone)]
struct Sent {
    framing: String,
    bytes: Vec<u8>,
}

impl Sent {
    fn whole(length: usize) -> Self {
        Self { framing: format!("content-length: {length}\r\n"), bytes: vec![b'a'; length] }
    }

    fn chunked(length: usize) -> Self {
        let mut bytes = format!("{length:x}\r\n").into_bytes();
        bytes.resize(bytes.len() + length, b'a');
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        Self { framing: "transfer-encoding: chunked\r\n".to_owned(), bytes }
    }
}

/// Reads a response of known length: its status and its head.
async fn read_response(reading: &mut (impl AsyncRead + Unpin)) -> io::Result<(u16, String)> {
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = timeout(PATIENCE, reading.read(&mut buffer)).await.expect("a response in time")?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a response"));
        }
        received.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&received).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() < length.parse().expect("a length") {
            continue;
        }
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        return Ok((status, head.to_owned()));
    }
}

/// Sends a request and, after a pause, its body; then another request on the same connection, unless the
/// response announced its end. Returns whether it stayed open.
async fn refuse_and_follow_up(refusal: Refusal, body: Sent) -> io::Result<bool> {
    let mut stream = TcpStream::connect(refusal.address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(refusal.head(&body.framing).as_bytes()).await?;
    sleep(PAUSE).await;
    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        let sent = writing.write_all(&body.bytes).await;
        (writing, sent)
    });
    let (status, head) = read_response(&mut reading).await?;
    assert_eq!(status, refusal.status, "{head}");
    let (mut writing, sent) = sending.await.expect("no panic");
    if head.contains("connection: close") {
        // After `Connection: close`, the server need not read the whole body. It must not reset the
        // connection, because the client could lose the response.
        let read = timeout(PATIENCE, reading.read(&mut [0; 16])).await.expect("the end in time")?;
        assert_eq!(read, 0, "nothing follows the last response");
        return Ok(false);
    }
    sent?;
    writing.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let (status, _) = read_response(&mut reading).await?;
    assert_eq!(status, 200);
    Ok(true)
}

/// Runs each rejection with each body several times.
async fn assert_no_follow_up_breaks(refusals: &[Refusal]) {
    const TIMES: usize = 5;
    let (small, large) = (40 << 10, 1 << 20);
    let bodies = [
        ("small", Sent::whole(12), true),
        ("small, chunked", Sent::chunked(12), true),
        ("40 KiB", Sent::whole(small), true),
        ("40 KiB, chunked", Sent::chunked(small), true),
        ("1 MiB", Sent::whole(large), false),
        ("1 MiB, chunked", Sent::chunked(large), false),
    ];
    let mut playing = JoinSet::new();
    for refusal in refusals {
        for (name, body, stays_open) in &bodies {
            for _ in 0..TIMES {
                let (refusal, body) = (refusal.clone(), body.clone());
                let what =
                    format!("{} {} answered with {}, {name}", refusal.method, refusal.path, refusal.status);
                let (name, stays_open) = (*name, *stays_open);
                playing.spawn(
                    async move { (what, name, stays_open, refuse_and_follow_up(refusal, body).await) },
                );
            }
        }
    }
    let mut broken = Vec::new();
    while let Some(played) = playing.join_next().await {
        let (what, name, stays_open, result) = played.expect("no panic");
        match result {
            Ok(stayed_open) if stays_open => assert!(stayed_open, "{what}: a body of {name} is read"),
            Ok(_) => {}
            Err(error) => broken.push(format!("{what}: {error}")),
        }
    }
    broken.sort();
    assert_eq!(broken, [""; 0], "{} follow-up requests broke", broken.len());
}

#[tokio::test]
async fn a_refusal_before_the_body_leaves_the_connection_in_order() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let mut process = Launch::serve(database.url()).start_ready().await;
    let post = |status, path| Refusal::new(process.public(), status, Method::POST, path);
    let attachments = "/v1/workspaces/0198c0de-0000-7000-8000-000000000000\
                       /content-items/0198c0de-0000-7000-8000-000000000000/attachments";
    assert_no_follow_up_breaks(&[
        post(401, "/v1/organizations"),
        post(401, "/v1/organizations").header("authorization", "Bearer nonsense"),
        post(404, "/v1/nothing"),
        Refusal::new(process.public(), 405, Method::PATCH, "/v1/organizations"),
        post(415, "/v1/organizations")
            .header("authorization", &user.authorization)
            .header("content-type", "text/plain"),
        post(431, "/v1/organizations").header("x-large", "a".repeat(17_000)),
        post(404, attachments).header("authorization", &user.authorization),
        // Accepted, but no handler reads the body.
        Refusal::new(process.public(), 200, Method::GET, "/health/live"),
        Refusal::new(process.operations(), 421, Method::PUT, "/log-level").header("host", "evil.example"),
    ])
    .await;
    assert_pooled_connections_survive(&process).await;
    process.stop().await;
}

#[tokio::test]
async fn a_refusal_while_the_database_is_down_leaves_the_connection_in_order() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let process = Launch::serve("postgres://nobody@127.0.0.1:1/nothing").start().await;
    let items = "/v1/workspaces/0198c0de-0000-7000-8000-000000000000/content-items";
    let refusal = Refusal::new(process.public(), 503, Method::POST, items);
    assert_no_follow_up_breaks(&[refusal.header("authorization", &user.authorization)]).await;
}

/// A client with a pool sends the next request on the same connection.
async fn assert_pooled_connections_survive(process: &Process) {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("an HTTP client");
    let url = format!("http://{}/v1/organizations", process.public());
    let mut broken = Vec::new();
    for round in 0..100 {
        let late = async move {
            sleep(Duration::from_millis(round % 5)).await;
            Ok::<_, io::Error>(Bytes::from_static(b"{\"name\":\"A\"}"))
        };
        let body = reqwest::Body::wrap_stream(stream::once(late).boxed());
        match client.post(&url).header("content-type", "application/json").body(body).send().await {
            Ok(response) => {
                assert_eq!(response.status(), 401);
                response.bytes().await.expect("a whole body");
            }
            Err(error) => broken.push(format!("{round}: {error:?}")),
        }
    }
    assert_eq!(broken, [""; 0], "{} requests broke", broken.len());
}

#[tokio::test]
async fn whoever_waits_for_permission_is_refused_without_it_and_told_that_the_connection_ends() {
    let database = TestDatabase::create().await;
    let mut process = Launch::serve(database.url()).start_ready().await;
    for path in ["/v1/organizations", "/v1/nothing"] {
        let mut stream = TcpStream::connect(process.public()).await.expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let (status, head) = read_response(&mut stream).await.expect("a response");
        assert!(matches!(status, 401 | 404), "{head}");
        assert!(head.contains("connection: close"), "whether the body follows is not known: {head}");
        assert_eq!(stream.read(&mut [0; 16]).await.expect("an orderly end"), 0);
    }
    process.stop().await;
}
