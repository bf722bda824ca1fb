//! Shutdown: readiness fails first, then the listener closes, then requests in progress finish, all within
//! their limits.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, Process, User, eventually};
use tokio::net::TcpStream;

use crate::hostile_clients::{head, http2_client, lock_organizations, wait_for_active_requests};
use crate::raw_connection::RawConnection;

/// Maximum time of the exit after the drain: the pool, telemetry, and a busy machine.
const SLACK: Duration = Duration::from_secs(4);

fn creation(user: &User) -> String {
    let body = r#"{"name":"A"}"#;
    head(user, &format!("content-length: {}\r\n", body.len())) + body
}

async fn wait_until_refused(process: &Process) {
    let address = process.public();
    eventually("refused connections", async || TcpStream::connect(address).await.err()).await;
}

#[tokio::test]
async fn requests_under_way_are_answered_while_new_ones_go_elsewhere() {
    for (signal, over_http_2) in [(Signal::SIGTERM, false), (Signal::SIGINT, true)] {
        let database = TestDatabase::create().await;
        let user = User::insert(database.pool()).await;
        let mut process =
            Launch::serve(database.url()).variable("SOCIALIZE_DRAIN_DELAY", "2s").start_ready().await;
        let address = process.public();
        let mut idle = RawConnection::send(address, "GET /nothing HTTP/1.1\r\nhost: socialize\r\n\r\n").await;
        idle.answer().await.expect(404);
        let silent = RawConnection::open(address).await;

        let lock = lock_organizations(&database).await;
        let (request, creation) =
            (http2_client().post(format!("http://{address}/v1/organizations")), creation(&user));
        let request =
            request.header("authorization", &user.authorization).json(&serde_json::json!({"name": "A"}));
        let under_way = tokio::spawn(async move {
            match over_http_2 {
                true => test_support::process::read(request.send().await.expect("an answer")).await,
                false => RawConnection::send(address, creation).await.answer().await,
            }
        });
        wait_for_active_requests(&process, 1.0).await;

        process.signal(signal);
        // First it announces its exit, while it still serves requests.
        eventually("readiness to fail", async || (process.ready().await == 503).then_some(())).await;
        process.get("/health/live").await.expect(200);
        process.get("/nothing").await.expect_error(404, "not_found");
        assert_eq!(process.operations_get("/health/ready").await.status, 503);
        // Then it accepts nothing new, but still responds to its operator.
        wait_until_refused(&process).await;
        idle.closed().await;
        silent.closed().await;
        assert_eq!(process.operations_get("/health/ready").await.status, 503);
        assert_eq!(process.operations_get("/health/live").await.status, 200);
        assert_eq!(process.exit_status(), None, "it waits for the request");

        sqlx::Connection::close(lock).await.expect("the lock is given up");
        let answer = under_way.await.expect("no panic").expect(201);
        if !over_http_2 {
            assert_eq!(answer.header("connection"), Some("close"), "nothing may follow on it");
        }
        let status = process.wait_for_exit().await;
        assert_eq!(status.code(), Some(0));
        let request_id = answer.header("x-request-id").expect("a request id").to_owned();
        assert!(process.lines().iter().any(|line| line["trace_id"] == request_id[..]));
        let last: Vec<Value> =
            ["server.stopping", "server.stopped"].iter().flat_map(|event| process.events(event)).collect();
        assert_eq!(last.len(), 2, "{last:?}");
    }
}

#[tokio::test]
async fn what_does_not_end_in_time_is_ended_and_leaves_its_record() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let mut process =
        Launch::serve(database.url()).variable("SOCIALIZE_SHUTDOWN_TIMEOUT", "500ms").start_ready().await;
    let lock = lock_organizations(&database).await;
    let over_http_1 = RawConnection::send(process.public(), creation(&user)).await;
    let request = http2_client().get(format!("http://{}/v1/organizations", process.public()));
    let request = request.header("authorization", &user.authorization);
    let over_http_2 = tokio::spawn(async move { request.send().await });
    wait_for_active_requests(&process, 2.0).await;
    // A request that is never completed does not delay the exit, on either listener.
    let unfinished = [
        RawConnection::send(process.public(), "GET / HT").await,
        RawConnection::send(process.operations(), "GET / HT").await,
    ];

    let told = Instant::now();
    process.stop().await;
    assert!(told.elapsed() < SLACK, "it took {:?}", told.elapsed());
    assert_eq!(over_http_1.closed().await, b"", "no answer is better than a wrong one");
    assert!(over_http_2.await.expect("no panic").is_err());
    drop(unfinished);
    let cancelled = process.events("http.server.request");
    let methods = |method: &str| {
        let is_it =
            |line: &&Value| line["http.request.method"] == method && line["error.type"] == "cancelled";
        cancelled.iter().filter(is_it).count()
    };
    assert_eq!((methods("POST"), methods("GET")), (1, 1), "{cancelled:?}");
    drop(lock);
}
