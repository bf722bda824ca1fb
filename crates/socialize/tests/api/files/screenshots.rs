//! Screenshots of feedback reports.

use axum::body::Body;
use domain::ids::UserId;
use http::Method;
use serde_json::json;
use test_support::{Answer, TestApp};

use super::{GIF, JPEG, MIB, MP4, PDF, WEBP, file, in_pieces, operations, request};
use crate::world::PNG;

const REPORTS: &str = "/v1/feedback-reports";

async fn report(test: &TestApp, reporter: UserId) -> String {
    let created = test.post(reporter, REPORTS, json!({"kind": "bug", "body": "It hums"})).await.expect(201);
    assert_eq!(created.body["has_screenshot"], false);
    format!("{REPORTS}/{}", created.text("id"))
}

async fn put(test: &TestApp, caller: UserId, report: &str, body: impl Into<Body>) -> Answer {
    let path = format!("{report}/screenshot");
    test.send(request(test, caller, Method::PUT, &path, body)).await
}

async fn rows(test: &TestApp, table: &str) -> i64 {
    let statement = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(test.pool()).await.expect("a count")
}

#[tokio::test]
async fn the_reporter_and_the_operators_see_the_screenshot() {
    let test = TestApp::start().await;
    let (reporter, other, operator) = (test.user("ada").await, test.user("bob").await, test.operator().await);
    let report = report(&test, reporter).await;
    let path = format!("{report}/screenshot");
    test.get(reporter, &path).await.expect_error(404, "not_found");
    let stored = put(&test, reporter, &report, PNG).await.expect(200);
    assert_eq!((stored.text("media_type").as_str(), &stored.body["size"]), ("image/png", &json!(PNG.len())));

    assert_eq!(test.get(reporter, &path).await.expect(200).bytes, PNG);
    let read = test.get(operator, &path).await.expect(200);
    assert_eq!((&read.bytes[..], read.header("x-content-type-options")), (PNG, Some("nosniff")));
    test.get(other, &path).await.expect_error(404, "not_found");
    assert_eq!(test.get(operator, &report).await.expect(200).body["has_screenshot"], true);
    let mine = test.get(reporter, &format!("{REPORTS}/mine")).await.expect(200);
    assert_eq!(mine.body["items"][0]["has_screenshot"], true);
    let all = test.get(operator, REPORTS).await.expect(200);
    assert_eq!(all.body["items"][0]["has_screenshot"], true);
}

#[tokio::test]
async fn a_screenshot_replaces_the_one_before() {
    let test = TestApp::start().await;
    let reporter = test.user("ada").await;
    let report = report(&test, reporter).await;
    for picture in [PNG, JPEG, WEBP] {
        put(&test, reporter, &report, picture).await.expect(200);
    }
    let read = test.get(reporter, &format!("{report}/screenshot")).await.expect(200);
    assert_eq!((&read.bytes[..], read.header("content-type")), (WEBP, Some("image/webp")));
    assert_eq!((test.stored_files().len(), rows(&test, "unreferenced_blobs").await), (3, 2));
    socialize::features::files::clean_up_blobs::run(&test.app).await.expect("cleaned up");
    assert_eq!((test.stored_files().len(), rows(&test, "unreferenced_blobs").await), (1, 0));
    test.get(reporter, &format!("{report}/screenshot")).await.expect(200);
}

#[tokio::test]
async fn what_is_refused_or_fails_leaves_nothing_behind() {
    let test = TestApp::start().await;
    let (reporter, operator) = (test.user("ada").await, test.operator().await);
    let report = report(&test, reporter).await;
    put(&test, operator, &report, PNG).await.expect_error(404, "not_found");
    for other in [GIF, MP4, PDF, b"canary", b""] {
        let told = put(&test, reporter, &report, other).await.expect_error(415, "unsupported_media_type");
        assert!(told.text("message").contains("image/png, image/jpeg, image/webp"), "{}", told.body);
    }
    let too_large = file(PNG, 5 * MIB + 1);
    put(&test, reporter, &report, too_large.clone()).await.expect_error(413, "body_too_large");
    put(&test, reporter, &report, in_pieces(too_large)).await.expect_error(413, "body_too_large");
    test.break_table("feedback_screenshots").await;
    put(&test, reporter, &report, PNG).await.expect_error(500, "internal");
    assert_eq!((test.stored_files().len(), rows(&test, "unreferenced_blobs").await), (0, 0));
    assert_eq!((operations(&test, "put", "ok"), operations(&test, "delete", "ok")), (1, 2));
}

#[tokio::test]
async fn the_largest_screenshot_fits() {
    let test = TestApp::start().await;
    let reporter = test.user("ada").await;
    let report = report(&test, reporter).await;
    let content = file(PNG, 5 * MIB);
    put(&test, reporter, &report, in_pieces(content.clone())).await.expect(200);
    assert!(test.get(reporter, &format!("{report}/screenshot")).await.expect(200).bytes == content);
}
