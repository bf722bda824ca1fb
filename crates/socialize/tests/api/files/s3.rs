//! A real S3 server that checks signatures.

use std::fs;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use socialize::features::files::clean_up_blobs;
use socialize::platform::blobs::{BlobSettings, BlobStoreSettings, BlobTimeouts, S3Settings};
use socialize::platform::secret::Secret;
use telemetry::ErrorType;
use test_support::{S3_BUCKET, S3_KEY, S3Server, TestApp, s3_at};

use super::{MIB, MP4, attach, attached, file, in_pieces, operations, request};
use crate::content::Team;
use crate::world::PNG;

pub(super) async fn team(settings: S3Settings, timeouts: BlobTimeouts) -> Team {
    // As in main; fails if another test has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = BlobStoreSettings::S3(settings);
    Team::join(TestApp::start_with_blobs(BlobSettings { store, uploads_at_once: 4, timeouts }).await, 1).await
}

#[tokio::test]
async fn files_are_kept_in_a_bucket() {
    let server = S3Server::start();
    let team = team(server.settings(), BlobTimeouts::default()).await;
    assert_eq!(team.test.app.blobs.check().await, Ok(()));
    let content = file(MP4, 12 * MIB + 7);
    let (item, large) = attached(&team, in_pieces(content.clone())).await;
    let small = attach(&team, &item, PNG).await.expect(201).text("id");
    let (test, small) = (&team.test, format!("{item}/attachments/{small}"));
    assert_eq!((operations(test, "put_part", "ok"), operations(test, "put", "ok")), (3, 1));
    assert_eq!(server.objects().len(), 2);

    assert!(test.get(team.reviewer, &large).await.expect(200).bytes == content);
    assert_eq!(test.get(team.reviewer, &small).await.expect(200).bytes, PNG);
    let headers = [("range", "bytes=5242870-5242890")];
    let range = test.request(Some(team.reviewer), Method::GET, &large, &Value::Null, &headers);
    assert!(test.send(range).await.expect(206).bytes == content[5_242_870..=5_242_890]);

    for path in [large, small] {
        let mut delete = request(test, team.author, Method::DELETE, &path, Body::empty());
        delete.headers_mut().insert("if-match", "*".parse().expect("a header"));
        test.send(delete).await.expect(204);
    }
    clean_up_blobs::run(&test.app).await.expect("cleaned up");
    assert_eq!((server.objects().len(), team.rows("unreferenced_blobs").await), (0, 0));
}

#[tokio::test]
async fn what_is_refused_or_abandoned_is_taken_back() {
    let server = S3Server::start();
    let team = team(server.settings(), BlobTimeouts::default()).await;
    let item = team.draft().await;
    attach(&team, &item, in_pieces(file(MP4, 25 * MIB + 1))).await.expect_error(413, "body_too_large");
    assert_eq!(operations(&team.test, "abort_parts", "ok"), 1);
    team.test.break_table("attachments").await;
    attach(&team, &item, PNG).await.expect_error(500, "internal");
    assert_eq!((server.objects().len(), team.rows("unreferenced_blobs").await), (0, 0));

    {
        let beginning = stream::iter([Ok::<_, std::io::Error>(Bytes::from(file(MP4, 6 * MIB)))]);
        let upload = attach(&team, &item, Body::from_stream(beginning.chain(stream::pending())));
        let stored = async {
            let deadline = std::time::Instant::now() + Duration::from_secs(30);
            let before = operations(&team.test, "put_part", "ok");
            while operations(&team.test, "put_part", "ok") == before {
                assert!(std::time::Instant::now() < deadline, "no part was stored");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            _ = upload => panic!("the upload has no end"),
            () = stored => {}
        }
    }
    team.test.app.clock.advance(clean_up_blobs::ABANDONED_AFTER);
    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    assert_eq!(operations(&team.test, "abort_parts", "ok"), 2);
    assert_eq!((server.objects().len(), team.rows("unreferenced_blobs").await), (0, 0));
}

/// Asserts that an upload and the health check fail with 503 because of this cause.
pub(super) async fn unavailable(team: &Team, outcome: &str, cause: ErrorType) {
    let item = team.draft().await;
    team.test.log_lines();
    let told = attach(team, &item, PNG).await;
    assert_eq!(told.status.as_u16(), 503, "{}", told.body);
    assert_eq!(operations(&team.test, "put", outcome), 1);
    let lines = team.test.log_lines();
    let line = lines.iter().find(|line| line["event"] == "blob.operation").expect("a line");
    assert_eq!((&line["operation"], &line["outcome"]), (&json!("put"), &json!(outcome)));
    assert_eq!(line["error.cause"], telemetry::ClosedSet::as_str(cause));
    let request = lines.iter().find(|line| line["http.response.status_code"] == 503).expect("a line");
    assert_eq!(request["trace_id"], line["trace_id"]);
    let recorded = format!("{lines:?}");
    for secret in [S3_KEY.0, S3_KEY.1, S3_BUCKET, "127.0.0.1", "Signature"] {
        assert!(!recorded.contains(secret), "{secret} in {recorded}");
    }
    assert_eq!(team.test.app.blobs.check().await, Err(cause));
    // No row refers to it, and the clean-up knows that it may exist.
    assert_eq!((team.rows("attachments").await, team.rows("unreferenced_blobs").await), (0, 1));
    assert_eq!(team.read(&item).await.body["revision"], 1);
}

#[tokio::test]
async fn a_wrong_signature_is_our_mistake_and_told_to_the_operator_only() {
    let server = S3Server::start();
    let wrong = S3Settings { secret_access_key: Secret::new("not-the-secret"), ..server.settings() };
    let team = team(wrong, BlobTimeouts::default()).await;
    unavailable(&team, "denied", ErrorType::PermissionDenied).await;
    assert_eq!(server.objects().len(), 0);
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_noticed() {
    let server = S3Server::start();
    let elsewhere = S3Settings { bucket: "another-bucket".to_owned(), ..server.settings() };
    let team = team(elsewhere, BlobTimeouts::default()).await;
    let item = team.draft().await;
    attach(&team, &item, PNG).await.expect_error(503, "unavailable");
    assert_eq!(operations(&team.test, "put", "other"), 1);
    team.test.app.blobs.check().await.expect_err("there is no bucket");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.path().join("certificate"), directory.path().join("key"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    let server = S3Server::start_with(&["--cert", &certificate, "--key", &key], directory);
    let url = server.url().replace("127.0.0.1", "localhost");
    let team = team(s3_at(&url), BlobTimeouts::default()).await;
    unavailable(&team, "unavailable", ErrorType::TlsFailure).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_noticed_and_its_return_too() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let team = team(s3_at(&format!("http://127.0.0.1:{port}")), BlobTimeouts::default()).await;
    unavailable(&team, "unavailable", ErrorType::ConnectionRefused).await;
    let address = format!("127.0.0.1:{port}");
    let _server = S3Server::start_with(&["--addr", &address], tempfile::tempdir().expect("a directory"));
    assert_eq!(team.test.app.blobs.check().await, Ok(()));
    let item = team.draft().await;
    attach(&team, &item, PNG).await.expect(201);
}
