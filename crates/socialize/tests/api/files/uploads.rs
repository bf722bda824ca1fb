//! Uploads of attachments.
//!
//! Long because each way in which an upload can end is a test.

use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use domain::ids::UserId;
use futures_util::{StreamExt, stream};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use test_support::{Answer, TestApp};

use super::{
    GIF, JPEG, MIB, MP4, PDF, WEBP, attach, attached, file, in_pieces, nothing_stays, operations, picture,
    request,
};
use crate::content::{Team, column};
use crate::world::PNG;

#[tokio::test]
async fn every_allowed_type_is_taken_and_told_by_its_content() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let files = [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (WEBP, "image/webp"),
        (MP4, "video/mp4"),
        (PDF, "application/pdf"),
    ];
    for (beginning, media_type) in files {
        let content = file(beginning, 5_000);
        let checksum: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let created = attach(&team, &item, content).await.expect(201);
        assert_eq!((created.text("media_type"), created.text("checksum")), (media_type.to_owned(), checksum));
        assert_eq!(created.body["size"], 5_000);
        assert_eq!(created.text("uploaded_by"), team.author.to_string());
        assert_eq!(created.body["file_name"], Value::Null);
    }
    let list = team.test.get(team.reviewer, &format!("{item}/attachments")).await.expect(200);
    assert_eq!(column(&list, "media_type"), files.map(|(_, media_type)| json!(media_type)));
    assert_eq!((operations(&team.test, "put", "ok"), team.test.stored_files().len()), (6, 6));
    assert_eq!(team.rows("unreferenced_blobs").await, 0);
}

#[tokio::test]
async fn a_large_file_is_stored_in_parts_and_comes_back_as_it_was() {
    let team = Team::start(1).await;
    let content = file(MP4, 25 * MIB);
    let (_, path) = attached(&team, in_pieces(content.clone())).await;
    assert_eq!((operations(&team.test, "put_part", "ok"), operations(&team.test, "put", "ok")), (25, 0));
    assert_eq!(operations(&team.test, "complete_parts", "ok"), 1);
    let read = team.test.get(team.reviewer, &path).await.expect(200);
    assert!(read.bytes == content, "{} bytes came back", read.bytes.len());
}

#[tokio::test]
async fn to_attach_is_to_edit() {
    let team = Team::start(1).await;
    let item = team.approved().await;
    let before = team.etag(&item).await;
    let created = attach(&team, &item, PNG).await.expect(201);
    let read = team.read(&item).await;
    assert_eq!((read.text("status").as_str(), &read.body["revision"]), ("draft", &json!(2)));
    assert_eq!(read.text("title"), "A title");
    assert_ne!(read.header("etag"), Some(before.as_str()));
    assert_eq!(created.header("etag"), read.header("etag"), "the next edit can be sent without reading");

    // Clients with an older version must read again, and the approval belonged to the older revision.
    team.edit(team.author, &item, &before, json!({"title": "B"})).await.expect_error(412, "version_mismatch");
    team.decide(team.reviewer, &item, "approve", 1).await.expect_error(409, "transition_refused");
}

#[tokio::test]
async fn what_is_recorded_of_an_upload_says_nothing_about_the_file() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    team.test.log_lines();
    let path = format!("{item}/attachments?file_name=private%20canary.png");
    let mut sent = request(&team.test, team.author, Method::POST, &path, PNG);
    sent.headers_mut().insert("if-match", "*".parse().expect("a header"));
    let created = team.test.send(sent).await.expect(201);
    assert_eq!(created.text("file_name"), "private canary.png");

    let read =
        team.test.get(team.author, &format!("{item}/attachments/{}", created.text("id"))).await.expect(200);
    let disposition = read.header("content-disposition");
    assert_eq!(disposition, Some("attachment; filename*=UTF-8''private%20canary.png"));
    let lines = team.test.log_lines();
    let request = lines.iter().find(|line| line["http.response.status_code"] == 201).expect("a line");
    assert_eq!(request["attachment.id"], created.body["id"]);
    let spans = team.test.app.telemetry.take_spans(usize::MAX, Vec::new()).request;
    let recorded = format!("{lines:?}{}", String::from_utf8_lossy(&spans));
    assert!(!recorded.contains("canary"), "{recorded}");
    assert!(recorded.contains(&created.text("id")));
}

#[tokio::test]
async fn refused_uploads_leave_nothing_behind() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let (test, path) = (&team.test, format!("{item}/attachments"));
    let stranger = test.user("stranger").await;
    let send = async |caller, path: &str, body: Body, if_match: Option<&'static str>| {
        let mut request = request(test, caller, Method::POST, path, body);
        if let Some(if_match) = if_match {
            request.headers_mut().insert("if-match", if_match.parse().expect("a header"));
        }
        test.send(request).await
    };
    send(stranger, &path, PNG.into(), Some("*")).await.expect_error(404, "not_found");
    send(team.reviewer, &path, PNG.into(), Some("*")).await.expect_error(403, "forbidden");
    send(team.author, &path, PNG.into(), None).await.expect_error(428, "precondition_required");
    send(team.author, &path, PNG.into(), Some("\"7\"")).await.expect_error(412, "version_mismatch");
    for query in ["canary=1", "file_name=", "file_name=%00", "file_name=a%0Ab%07", "file_name=a&file_name=b"]
    {
        let path = format!("{path}?{query}");
        send(team.author, &path, PNG.into(), Some("*")).await.expect_error(400, "malformed_request");
    }
    let long = format!("{path}?file_name={}", "a".repeat(256));
    send(team.author, &long, PNG.into(), Some("*")).await.expect_error(400, "malformed_request");
    for other in [
        b"".as_slice(),
        b"canary",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>",
        b"<!doctype html>",
        b"MZ\x90\0\x03",
        b"\x7fELF\x02",
        b"PK\x03\x04",
        b"\x89PN",
    ] {
        attach(&team, &item, other).await.expect_error(415, "unsupported_media_type");
    }
    // A larger file is rejected as soon as its first part has arrived.
    attach(&team, &item, in_pieces(file(b"canary", 3 * MIB)))
        .await
        .expect_error(415, "unsupported_media_type");
    let mut compressed = request(test, team.author, Method::POST, &path, PNG);
    compressed.headers_mut().insert("if-match", "*".parse().expect("a header"));
    compressed.headers_mut().insert("content-encoding", "gzip".parse().expect("a header"));
    test.send(compressed).await.expect_error(415, "unsupported_media_type");

    let read = team.read(&item).await;
    assert_eq!(read.body["revision"], 1);
    team.act(team.author, &item, "archive").await.expect(200);
    attach(&team, &item, PNG).await.expect_error(409, "transition_refused");
    assert_eq!(operations(test, "put", "ok") + operations(test, "begin_parts", "ok"), 0);
    nothing_stays(&team).await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_while_it_arrives() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let too_large = file(MP4, 25 * MIB + 1);
    let told = attach(&team, &item, too_large.clone()).await.expect_error(413, "body_too_large");
    assert!(told.text("message").contains("26214400"), "{}", told.body);
    assert_eq!(operations(&team.test, "begin_parts", "ok"), 0, "its length was known beforehand");
    attach(&team, &item, in_pieces(too_large)).await.expect_error(413, "body_too_large");
    assert_eq!(operations(&team.test, "put_part", "ok"), 24);
    assert_eq!(operations(&team.test, "complete_parts", "ok"), 0);
    nothing_stays(&team).await;
}

#[tokio::test]
async fn a_file_that_breaks_off_or_stalls_is_refused() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let beginning = || stream::iter([Ok(Bytes::from(file(MP4, 2 * MIB)))]);
    let breaks = beginning().chain(stream::iter([Err(std::io::Error::other("gone"))]));
    attach(&team, &item, Body::from_stream(breaks)).await.expect_error(400, "malformed_request");
    nothing_stays(&team).await;

    let patient =
        TestApp::start_with_settings(|settings| settings.body_timeout = Duration::from_millis(100)).await;
    let team = Team::join(patient, 1).await;
    let item = team.draft().await;
    let stalls = beginning().chain(stream::pending());
    let told = attach(&team, &item, Body::from_stream(stalls)).await.expect_error(408, "request_timeout");
    assert_eq!(told.header("connection"), Some("close"));
    nothing_stays(&team).await;
}

#[tokio::test]
async fn an_upload_may_take_only_so_long_altogether() {
    let hasty =
        TestApp::start_with_settings(|settings| settings.upload_timeout = Duration::from_millis(300)).await;
    let team = Team::join(hasty, 1).await;
    let item = team.draft().await;
    // Every piece arrives in time, but the body never ends.
    let trickle = stream::unfold(file(MP4, 100), |piece| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from(piece)), vec![0]))
    });
    attach(&team, &item, Body::from_stream(trickle)).await.expect_error(408, "request_timeout");
    nothing_stays(&team).await;
}

#[tokio::test]
async fn a_transaction_that_fails_takes_the_file_with_it() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    team.test.break_table("attachments").await;
    attach(&team, &item, PNG).await.expect_error(500, "internal");
    assert_eq!((operations(&team.test, "put", "ok"), operations(&team.test, "delete", "ok")), (1, 1));
    assert_eq!(team.read(&item).await.body["revision"], 1);
    nothing_stays(&team).await;
}

#[tokio::test]
async fn an_item_has_only_so_many_attachments() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    for _ in 0..20 {
        attach(&team, &item, PNG).await.expect(201);
    }
    let told = attach(&team, &item, PNG).await.expect_error(409, "conflict");
    assert!(told.text("message").contains("20"), "{}", told.body);
    assert_eq!((team.rows("attachments").await, team.test.stored_files().len()), (20, 20));
}

#[tokio::test]
async fn a_repeated_upload_attaches_once() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let etag = team.etag(&item).await;
    let path = format!("{item}/attachments?file_name=a.png");
    let send = async |path: &str, body: &'static [u8]| {
        let mut request = request(&team.test, team.author, Method::POST, path, body);
        let headers = request.headers_mut();
        headers.insert("if-match", etag.parse().expect("a header"));
        headers.insert("idempotency-key", "k1".parse().expect("a header"));
        team.test.send(request).await
    };
    let first = send(&path, PNG).await.expect(201);
    let again = send(&path, PNG).await.expect(201);
    assert_eq!((&first.body, first.header("etag")), (&again.body, again.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    send(&path, GIF).await.expect_error(422, "idempotency_key_reused");
    let renamed = format!("{item}/attachments?file_name=b.png");
    send(&renamed, PNG).await.expect_error(422, "idempotency_key_reused");
    assert_eq!((team.rows("attachments").await, team.rows("unreferenced_blobs").await), (1, 0));
    assert_eq!(team.test.stored_files().len(), 1);
}

#[tokio::test]
async fn of_two_uploads_to_one_version_one_has_to_read_again() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let etag = team.etag(&item).await;
    let send = async || {
        let path = format!("{item}/attachments");
        let mut request = request(&team.test, team.author, Method::POST, &path, PNG);
        request.headers_mut().insert("if-match", etag.parse().expect("a header"));
        team.test.send(request).await.status.as_u16()
    };
    let (one, other) = tokio::join!(send(), send());
    assert_eq!([one.min(other), one.max(other)], [201, 412]);
    assert_eq!((team.rows("attachments").await, team.rows("unreferenced_blobs").await), (1, 0));
    assert_eq!(team.test.stored_files().len(), 1);
}

#[tokio::test]
async fn a_deleted_attachment_is_gone_and_so_is_its_file() {
    let team = Team::start(1).await;
    let (item, path) = picture(&team).await;
    let delete = async |caller, if_match: &str| {
        let headers = [("if-match", if_match)];
        team.test.send(team.test.request(Some(caller), Method::DELETE, &path, &Value::Null, &headers)).await
    };
    delete(team.reviewer, "*").await.expect_error(403, "forbidden");
    delete(team.author, "\"1\"").await.expect_error(412, "version_mismatch");
    let deleted = delete(team.author, &team.etag(&item).await).await.expect(204);
    let read = team.read(&item).await;
    assert_eq!((deleted.header("etag"), &read.body["revision"]), (read.header("etag"), &json!(3)));
    team.test.get(team.author, &path).await.expect_error(404, "not_found");
    delete(team.author, "*").await.expect_error(404, "not_found");

    assert_eq!(team.test.stored_files().len(), 1);
    socialize::features::files::clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    nothing_stays(&team).await;
    assert_eq!(operations(&team.test, "delete", "ok"), 1);
}

#[tokio::test]
async fn without_a_blob_store_uploads_fail_at_once() {
    let team = Team::start(1).await;
    let (item, path) = picture(&team).await;
    team.test.set_blob_store_down(true);
    let told = attach(&team, &item, PNG).await.expect_error(503, "unavailable");
    assert_eq!(told.header("retry-after"), Some("1"));
    team.test.get(team.author, &path).await.expect_error(503, "unavailable");
    // Requests without files still succeed.
    team.test.get(team.author, &format!("{item}/attachments")).await.expect(200);
    team.rewrite(&item, "Another title").await.expect(200);
    assert_eq!(operations(&team.test, "put", "ok"), 1);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_other_requests() {
    let hasty =
        TestApp::start_with_settings(|settings| settings.request_timeout = Duration::from_secs(2)).await;
    let limit = hasty.app.settings.request_timeout;
    let team = Team::join(hasty, 1).await;
    let item = team.draft().await;
    let slow =
        stream::iter([Bytes::from_static(PNG), Bytes::from_static(b"more")]).then(move |piece| async move {
            tokio::time::sleep(limit.mul_f64(0.6)).await;
            Ok::<_, std::io::Error>(piece)
        });
    attach(&team, &item, Body::from_stream(slow)).await.expect(201);
}

/// A body without an end: pieces of this size, each after a pause.
fn trickle(piece: usize, pause: Duration) -> Body {
    let pieces = stream::unfold(file(MP4, piece), move |piece| async move {
        tokio::time::sleep(pause).await;
        let next = vec![0; piece.len()];
        Some((Ok::<_, std::io::Error>(Bytes::from(piece)), next))
    });
    Body::from_stream(pieces)
}

/// Uploads a screenshot for a new report.
async fn put_screenshot(test: &TestApp, reporter: UserId, body: impl Into<Body>) -> Answer {
    let report = json!({"kind": "bug", "body": "It hums"});
    let report = test.post(reporter, "/v1/feedback-reports", report).await.expect(201).text("id");
    let path = format!("/v1/feedback-reports/{report}/screenshot");
    test.send(request(test, reporter, Method::PUT, &path, body)).await
}

#[tokio::test]
async fn an_upload_that_is_slower_than_the_slowest_pace_is_refused() {
    let grace = Duration::from_millis(500);
    let hasty = TestApp::start_with_settings(|settings| settings.body_timeout = grace).await;
    let team = Team::join(hasty, 1).await;
    let item = team.draft().await;
    let began = Instant::now();
    // Every chunk arrives in time, and the limit for the whole file is half a minute later.
    let slow = trickle(100, Duration::from_millis(50));
    attach(&team, &item, slow).await.expect_error(408, "request_timeout");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    nothing_stays(&team).await;
    // A client above the minimum rate has no shorter limit.
    let steady =
        stream::iter(file(MP4, 40 << 10).chunks(2 << 10).map(Bytes::copy_from_slice).collect::<Vec<_>>())
            .then(|piece| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok::<_, std::io::Error>(piece)
            });
    attach(&team, &item, Body::from_stream(steady)).await.expect(201);
}

#[tokio::test]
async fn only_so_many_uploads_are_received_at_once() {
    let patient =
        TestApp::start_with_settings(|settings| settings.body_timeout = Duration::from_millis(500)).await;
    let team = Team::join(patient, 1).await;
    let mut users = Vec::new();
    for name in ["one", "two", "three", "four"] {
        users.push(team.test.user(name).await);
    }
    let fifth = team.test.user("five").await;
    // The maximum number of concurrent uploads in these settings, all fast enough and without an end.
    let uploads = users
        .iter()
        .map(|user| put_screenshot(&team.test, *user, trickle(16 << 10, Duration::from_millis(50))));
    let one_more = async {
        // This one may arrive before the others.
        loop {
            let told = put_screenshot(&team.test, fifth, PNG).await;
            if told.status.as_u16() == 503 {
                return told;
            }
        }
    };
    tokio::select! {
        _ = futures_util::future::join_all(uploads) => panic!("these uploads take longer"),
        told = one_more => drop(told.expect_error(503, "unavailable")),
    }
    put_screenshot(&team.test, fifth, PNG).await.expect(200);
}

#[tokio::test]
async fn nobody_can_have_all_uploads_to_themselves() {
    let patient =
        TestApp::start_with_settings(|settings| settings.body_timeout = Duration::from_secs(5)).await;
    let team = Team::join(patient, 1).await;
    let item = team.draft().await;
    // The maximum number of concurrent uploads, without an end.
    let uploads = (0..4).map(|_| attach(&team, &item, trickle(16 << 10, Duration::from_millis(100))));
    let others = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        put_screenshot(&team.test, team.reviewer, PNG).await.expect(200);
        assert!(began.elapsed() < Duration::from_secs(4), "it did not wait: {:?}", began.elapsed());
        // The same user waits for their own share, and the response says so.
        attach(&team, &item, PNG).await
    };
    tokio::select! {
        _ = futures_util::future::join_all(uploads) => panic!("these uploads have no end"),
        told = others => {
            let told = told.expect_error(429, "rate_limited");
            assert!(told.header("retry-after").is_some());
        }
    }
    attach(&team, &item, PNG).await.expect(201);
}
