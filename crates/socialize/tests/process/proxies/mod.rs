//! Socialize behind nginx, Caddy and Apache: the real programs with the recipes of `deploy/proxies`.
//! `docs/FAULTS.md`, "Odd peers", lists the versions.

mod program;

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use reqwest::{Body, Client, RequestBuilder};
use serde_json::{Value, json};
use test_support::process::{Launch, Process, User, eventually, read};
use test_support::{Answer, TestDatabase};
use tokio::sync::mpsc;

use self::program::{Kind, Proxy};

/// Addresses of two clients. The proxy itself connects from 127.0.0.1.
const ADA: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const GRACE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The largest upload.
const LARGEST: usize = 25 << 20;

/// Socialize behind a proxy, with a content item.
struct World {
    proxy: Proxy,
    process: Process,
    client: Client,
    user: User,
    item: String,
    _database: TestDatabase,
}

impl World {
    /// Starts everything. Returns `None` if the proxy is not available.
    async fn start(kind: Kind) -> Option<Self> {
        let database = TestDatabase::create().await;
        let user = User::insert(database.pool()).await;
        let process = Launch::serve(database.url())
            .without_worker()
            .variables(&[
                ("SOCIALIZE_TRUSTED_PEERS", "127.0.0.1"),
                ("SOCIALIZE_LOGIN_FAILURES", "3"),
                ("SOCIALIZE_PASSWORD_HASH_MEMORY", "8"),
                ("SOCIALIZE_PASSWORD_HASH_ITERATIONS", "1"),
            ])
            .start_ready()
            .await;
        let proxy = Proxy::start(kind, process.public()).await?;
        let client = proxy.client(ADA);
        let mut world = Self { proxy, process, client, user, item: String::new(), _database: database };
        let organization = world.create("/v1/organizations", json!({"name": "Behind a proxy"})).await;
        let path = format!("/v1/organizations/{organization}/workspaces");
        let workspace = world.create(&path, json!({"name": "Brand", "required_approvals": 1})).await;
        let items = format!("/v1/workspaces/{workspace}/content-items");
        // Long enough to be compressed.
        let item = json!({"channel": "linkedin", "title": "A title", "body": "A body. ".repeat(500)});
        world.item = format!("{items}/{}", world.create(&items, item).await);
        Some(world)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.proxy.url(path));
        request.header("authorization", &self.user.authorization)
    }

    async fn create(&self, path: &str, body: Value) -> String {
        let answer = send(self.request(Method::POST, path).json(&body)).await.expect(201);
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
        answer.text("id")
    }

    async fn edit(&self, etag: &str, title: &str) -> Answer {
        let edit = self.request(Method::PATCH, &self.item).header("if-match", etag);
        send(edit.json(&json!({"title": title}))).await
    }

    async fn attach(&self, body: impl Into<Body>) -> Answer {
        let path = format!("{}/attachments?file_name=a.pdf", self.item);
        send(self.request(Method::POST, &path).header("if-match", "*").body(body)).await
    }
}

async fn send(request: RequestBuilder) -> Answer {
    read(request.send().await.expect("an answer")).await
}

fn pdf(size: usize) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    file.resize(size, b'x');
    file
}

/// Returns whether the ETag of version 1 looks as expected in a compressed response.
fn is_changed(kind: Kind, etag: &str) -> bool {
    match kind {
        Kind::Nginx => etag == "W/\"1\"",
        // Since 2.8 it adds the coding.
        Kind::Caddy => etag == "\"1\"" || etag == "\"1-gzip\"",
        Kind::Apache => etag == "\"1-gzip\"",
    }
}

async fn a_validator_survives_compression(kind: Kind, world: &World) {
    let read = || send(world.request(Method::GET, &world.item).header("accept-encoding", "gzip"));
    let compressed = read().await.expect(200);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let etag = compressed.header("etag").expect("an ETag").to_owned();
    assert!(is_changed(kind, &etag), "{kind:?}: {etag}");
    world.edit(&etag, "Edited").await.expect(200);
    world.edit(&etag, "Edited by somebody who has not read").await.expect_error(412, "version_mismatch");
    let etag = read().await.header("etag").expect("an ETag").to_owned();
    world.edit(&etag, "Edited once more").await.expect(200);
}

async fn large_files_go_both_ways(world: &World) {
    let attached = world.attach(pdf(LARGEST)).await.expect(201);
    let refused = world.attach(pdf(LARGEST + 1)).await.expect_error(413, "body_too_large");
    assert!(refused.text("message").contains(&LARGEST.to_string()), "{}", refused.body);

    let path = format!("{}/attachments/{}", world.item, attached.text("id"));
    let file = send(world.request(Method::GET, &path)).await.expect(200);
    assert_eq!((file.bytes.len(), &file.bytes[..9]), (LARGEST, &b"%PDF-1.7\n"[..]));
    let etag = file.header("etag").expect("an ETag");
    let known =
        world.request(Method::GET, &path).header("accept-encoding", "gzip").header("if-none-match", etag);
    assert_eq!(send(known).await.expect(304).bytes.len(), 0);
    let part = send(world.request(Method::GET, &path).header("range", "bytes=0-3")).await.expect(206);
    assert_eq!(part.bytes, b"%PDF");
}

/// Checks that the proxy streams request bodies instead of buffering them.
async fn a_body_goes_on_as_it_comes(kind: Kind, world: &World) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let pieces = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = Body::wrap_stream(futures_util::StreamExt::map(pieces, Ok::<_, std::io::Error>));
    let upload = world.attach(body);
    let pieces = async {
        sender.send(pdf(64 << 10).into()).await.expect("a request");
        eventually("a request in flight", async || {
            let active = world.process.metrics().await.sum("http_server_active_requests", &[]);
            (active == 1.0).then_some(())
        })
        .await;
        sender.send(pdf(64 << 10).into()).await.expect("a request");
        drop(sender);
    };
    let (attached, ()) = tokio::join!(upload, pieces);
    assert_eq!(attached.expect(201).body["size"], 128 << 10);

    // Socialize times out a stalled body before the proxy does.
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    // Apache waits for the first bytes.
    sender.send(pdf(64 << 10).into()).await.expect("room for one");
    let never = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = Body::wrap_stream(futures_util::StreamExt::map(never, Ok::<_, std::io::Error>));
    let timed_out = async {
        eventually("the timeout", async || {
            let labels = [("http_response_status_code", "408")];
            let metrics = world.process.metrics().await;
            let count = metrics.sum("http_server_request_duration_seconds_count", &labels);
            (count == 1.0).then_some(())
        })
        .await;
    };
    if kind == Kind::Apache {
        // It forwards no response before the request body has ended.
        tokio::select! {
            answer = world.attach(body) => { answer.expect_error(408, "request_timeout"); }
            () = timed_out => {}
        }
    } else {
        world.attach(body).await.expect_error(408, "request_timeout");
        timed_out.await;
    }
    drop(sender);
}

/// Checks that limits count clients by their real address, not by the proxy's or a forged one.
async fn a_client_is_known_by_its_own_address(world: &World) {
    let login = async |client: &Client, forwarded_for: &str| {
        let body = json!({"email": "ada@example.com", "password": "incorrect horse battery staple"});
        let request = client.post(world.proxy.url("/v1/auth/login")).json(&body);
        let forwarded = format!("for={forwarded_for}");
        let request = request.header("x-forwarded-for", forwarded_for).header("forwarded", forwarded);
        send(request.header("x-real-ip", forwarded_for)).await.status.as_u16()
    };
    let mut statuses = Vec::new();
    for number in 1..=4 {
        statuses.push(login(&world.client, &format!("198.51.100.{number}")).await);
    }
    assert_eq!(statuses, [401, 401, 401, 429], "a client that says to be four others is one");
    let other = world.proxy.client(GRACE);
    assert_eq!(login(&other, &ADA.to_string()).await, 401, "another client is another one");
}

/// Checks that a client's trace is linked and not continued, although the proxy is trusted for addresses.
async fn an_outsider_chooses_no_id(world: &World) {
    let request = world.client.get(world.proxy.url("/v1/organizations")).header("traceparent", TRACEPARENT);
    let answer = send(request).await.expect_error(401, "unauthenticated");
    let id = answer.header("x-request-id").expect("a request id");
    assert_ne!(id, TRACE);
    let is_it = |line: &Value| line["event"] == "http.server.request" && line["trace_id"] == *id;
    let line = world.process.line("its line", is_it).await;
    assert_eq!(line["link.trace_id"], TRACE);
}

async fn the_recipe_works(kind: Kind) {
    let Some(mut world) = World::start(kind).await else {
        return;
    };
    let version = world.client.get(world.proxy.url("/v1/me")).send().await.expect("an answer").version();
    assert_eq!(version, Version::HTTP_2);
    a_validator_survives_compression(kind, &world).await;
    large_files_go_both_ways(&world).await;
    a_body_goes_on_as_it_comes(kind, &world).await;
    a_client_is_known_by_its_own_address(&world).await;
    an_outsider_chooses_no_id(&world).await;
    // Idle connections of the proxy do not delay the exit.
    let stopping = tokio::time::timeout(Duration::from_secs(10), world.process.stop());
    stopping.await.expect("an end without waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_in_front_works_as_its_recipe_says() {
    the_recipe_works(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_in_front_works_as_its_recipe_says() {
    the_recipe_works(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_in_front_works_as_its_recipe_says() {
    the_recipe_works(Kind::Apache).await;
}
