//! An outage of the blob store: working and failing requests, their latency, signals for the operator, and
//! recovery without a restart.

use std::net::TcpListener;

use http::{Method, StatusCode};
use serde_json::json;
use test_support::process::{Launch, Process, User, eventually, read};
use test_support::{Answer, S3_BUCKET, S3_KEY, S3Server, TestDatabase};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";
const OPERATIONS: &str = "socialize_blob_operation_duration_seconds_count";

async fn up(process: &Process) -> f64 {
    process.metrics().await.value("socialize_dependency_up", &[("dependency", "blob_store")])
}

async fn report(process: &Process, user: &User) -> String {
    let body = json!({"kind": "bug", "body": "It hums"});
    let created = process.call(Method::POST, "/v1/feedback-reports", &[user.header()], &body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    created.body["id"].as_str().expect("an id").to_owned()
}

async fn add_screenshot(process: &Process, user: &User, report: &str) -> Answer {
    let url = format!("http://{}/v1/feedback-reports/{report}/screenshot", process.public());
    let (name, value) = user.header();
    read(process.client().put(url).header(name, value).body(PNG).send().await.expect("an answer")).await
}

#[tokio::test]
async fn everything_but_files_works_without_the_blob_store() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    let process = Launch::serve(database.url())
        .without("SOCIALIZE_BLOBS_DIRECTORY")
        .variable("SOCIALIZE_S3_BUCKET", S3_BUCKET)
        .variable("SOCIALIZE_S3_ENDPOINT", format!("http://{address}"))
        .variable("SOCIALIZE_S3_ACCESS_KEY_ID", S3_KEY.0)
        .variable("SOCIALIZE_S3_SECRET_ACCESS_KEY", S3_KEY.1)
        .start_ready()
        .await;
    let down = process.line("the outage", |line| line["event"] == "dependency.down").await;
    assert_eq!(
        (&down["dependency"], &down["error.type"]),
        (&json!("blob_store"), &json!("connection_refused"))
    );
    assert_eq!(up(&process).await, 0.0);
    assert_eq!(process.ready().await, 200, "most requests need no files");
    let detail = process.operations_get("/health").await.expect(200).body;
    let dependencies = detail["health"]["dependencies"].as_array().expect("dependencies").clone();
    let blob_store = dependencies.iter().find(|known| known["name"] == "blob_store").expect("the blob store");
    assert_eq!(
        (&blob_store["state"], &blob_store["required_for_readiness"]),
        (&json!("down"), &json!(false))
    );

    let report = report(&process, &user).await;
    let told = add_screenshot(&process, &user, &report).await;
    assert_eq!((told.status, &told.body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert_eq!(process.metrics().await.sum(OPERATIONS, &[]), 0.0, "nobody waited for the store");

    let server = S3Server::start_with(&["--addr", &address], tempfile::tempdir().expect("a directory"));
    process.line("the return", |line| line["event"] == "dependency.up").await;
    assert_eq!(up(&process).await, 1.0);
    let stored = add_screenshot(&process, &user, &report).await;
    assert_eq!((stored.status, server.objects().len()), (StatusCode::OK, 1));

    drop(server);
    eventually("the second outage", async || {
        let told = add_screenshot(&process, &user, &report).await;
        (told.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    let failed = process.metrics().await.sum(OPERATIONS, &[("operation", "put"), ("outcome", "unavailable")]);
    assert!(failed >= 1.0, "{failed}");
    eventually("it is known", async || (up(&process).await < 1.0).then_some(())).await;
    // Neither keys nor addresses are recorded.
    for text in process.line_texts() {
        assert!(!text.contains(S3_KEY.0) && !text.contains(S3_KEY.1), "{text}");
    }
}
