//! Downloads: whole files, ranges, 304, and detection of changed content.

use std::fs;

use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use test_support::Answer;

use super::{MIB, MP4, attached, file, in_pieces, operations, picture};
use crate::content::Team;
use crate::world::PNG;

async fn get(team: &Team, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = team.test.request(Some(team.reviewer), method, path, &Value::Null, headers);
    team.test.send(request).await
}

#[tokio::test]
async fn a_file_is_sent_so_that_browsers_only_save_it() {
    let team = Team::start(1).await;
    let (_, path) = picture(&team).await;
    let whole = get(&team, Method::GET, &path, &[]).await.expect(200);
    assert_eq!(whole.bytes, PNG);
    let length = PNG.len().to_string();
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", length.as_str()),
        ("content-disposition", "attachment; filename=\"file.png\""),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private, no-cache"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    let head = get(&team, Method::HEAD, &path, &[]).await.expect(200);
    assert_eq!((head.header("content-length"), head.bytes.len()), (Some(length.as_str()), 0));
    assert_eq!(head.header("etag"), whole.header("etag"));
    assert_eq!(operations(&team.test, "get", "ok"), 1, "a HEAD needs no blob");
}

#[tokio::test]
async fn a_client_gets_the_range_that_it_asks_for() {
    let team = Team::start(1).await;
    let content = file(MP4, 3 * MIB);
    let (_, path) = attached(&team, in_pieces(content.clone())).await;
    let size = content.len();
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=1048570-1048585", 1_048_570, 1_048_585),
        ("bytes=-7", size - 7, size - 1),
        ("bytes=3000000-", 3_000_000, size - 1),
    ] {
        let part = get(&team, Method::GET, &path, &[("range", range)]).await.expect(206);
        assert!(part.bytes == content[from..=to], "{range}");
        assert_eq!(part.header("content-range"), Some(format!("bytes {from}-{to}/{size}").as_str()));
        assert_eq!(part.header("content-length"), Some((to - from + 1).to_string().as_str()));
    }
    let beyond = get(&team, Method::GET, &path, &[("range", "bytes=3145728-")]).await;
    let beyond = beyond.expect_error(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), Some("bytes */3145728"));
    let several = get(&team, Method::GET, &path, &[("range", "bytes=0-1,5-6")]).await.expect(200);
    assert_eq!(several.bytes.len(), size);
}

#[tokio::test]
async fn a_client_that_has_the_file_gets_nothing() {
    let team = Team::start(1).await;
    let (_, path) = picture(&team).await;
    let etag = get(&team, Method::GET, &path, &[]).await.header("etag").expect("an ETag").to_owned();
    let same = get(&team, Method::GET, &path, &[("if-none-match", &etag)]).await.expect(304);
    assert_eq!((same.bytes.len(), same.header("etag")), (0, Some(etag.as_str())));
    get(&team, Method::GET, &path, &[("if-none-match", "\"other\"")]).await.expect(200);
    let range = |tag| [("range", "bytes=0-3"), ("if-range", tag)];
    get(&team, Method::GET, &path, &range(&etag)).await.expect(206);
    get(&team, Method::GET, &path, &range("\"other\"")).await.expect(200);
}

/// Reads a response to its end, or until it breaks.
async fn read(team: &Team, path: &str) -> (u16, Result<Vec<u8>, ()>) {
    let request = team.test.request(Some(team.reviewer), Method::GET, path, &Value::Null, &[]);
    let response = team.test.send_unread(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map(|body| body.to_bytes().to_vec()).map_err(drop);
    (status, body)
}

#[tokio::test]
async fn a_spoilt_file_is_never_taken_for_whole() {
    let team = Team::start(1).await;
    let (_, path) = attached(&team, in_pieces(file(MP4, 2 * MIB))).await;
    let [stored] = &team.test.stored_files()[..] else { panic!("one file") };
    let good = fs::read(stored).expect("a file");
    team.test.log_lines();

    let mut spoilt = good.clone();
    spoilt[MIB] ^= 1;
    fs::write(stored, spoilt).expect("written");
    let (status, body) = read(&team, &path).await;
    assert_eq!((status, body), (200, Err(())), "the body breaks off before its end");
    assert_eq!((operations(&team.test, "get", "ok"), operations(&team.test, "read", "corrupt")), (1, 1));
    let lines = team.test.log_lines();
    let line = lines.iter().find(|line| line["event"] == "blob.operation").expect("a line");
    assert_eq!(
        (&line["operation"], &line["outcome"], &line["level"]),
        (&json!("read"), &json!("corrupt"), &json!("error"))
    );
    assert_eq!(line["error.cause"], "invalid_data");
    assert!(path.ends_with(line["blob.id"].as_str().expect("an id")));
    let request = lines.iter().find(|line| line["event"] == "http.server.request").expect("a line");
    assert_eq!(line["link.trace_id"], request["trace_id"]);

    fs::write(stored, &good[..MIB]).expect("written");
    get(&team, Method::GET, &path, &[]).await.expect_error(500, "internal");
    assert_eq!(operations(&team.test, "get", "corrupt"), 1);

    fs::remove_file(stored).expect("removed");
    get(&team, Method::GET, &path, &[]).await.expect_error(500, "internal");
    assert_eq!(operations(&team.test, "get", "not_found"), 1);

    fs::write(stored, &good).expect("written");
    assert_eq!(get(&team, Method::GET, &path, &[]).await.expect(200).bytes.len(), good.len());
    assert_eq!(operations(&team.test, "read", "ok"), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_reading() {
    let team = Team::start(1).await;
    let (_, path) = attached(&team, in_pieces(file(MP4, 2 * MIB))).await;
    let request = team.test.request(Some(team.reviewer), Method::GET, &path, &Value::Null, &[]);
    let mut body = team.test.send_unread(request).await.into_body();
    body.frame().await.expect("a piece").expect("no error");
    drop(body);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while operations(&team.test, "read", "cancelled") == 0 {
        assert!(std::time::Instant::now() < deadline, "nobody noticed");
        tokio::task::yield_now().await;
    }
    assert_eq!(operations(&team.test, "read", "ok"), 0);
}
