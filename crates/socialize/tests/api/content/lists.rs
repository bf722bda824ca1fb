//! Lists: pages and filters.

use domain::ids::UserId;
use serde_json::{Value, json};
use test_support::Answer;

use super::{Team, column};

async fn list(team: &Team, query: &str) -> Answer {
    team.test.get(team.reviewer, &format!("{}{query}", team.items())).await.expect(200)
}

#[tokio::test]
async fn content_items_are_listed_page_by_page_and_without_bodies() {
    let team = Team::start(1).await;
    for title in ["A", "B", "C"] {
        let body = json!({"channel": "x", "title": title, "body": "B"});
        team.test.post(team.author, &team.items(), body).await.expect(201);
    }
    let first = list(&team, "?limit=2").await;
    let second = list(&team, &format!("?limit=2&cursor={}", first.text("next_cursor"))).await;
    assert_eq!([column(&first, "title"), column(&second, "title")].concat(), ["C", "B", "A"]);
    assert_eq!(second.body["next_cursor"], Value::Null);
    assert!(first.body["items"][0].get("body").is_none());
    for malformed in
        ["?limit=0", "?limit=101", "?cursor=nonsense", "?unknown=1", "?status=lost", "?author_id=me"]
    {
        let path = format!("{}{malformed}", team.items());
        team.test.get(team.author, &path).await.expect_error(400, "malformed_request");
    }
    let stranger = team.test.user("stranger").await;
    team.test.get(stranger, &team.items()).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn content_items_are_filtered_by_status_channel_and_author() {
    let team = Team::start(1).await;
    for (author, channel, title) in [
        (team.author, "x", "author on x"),
        (team.author, "tiktok", "author on tiktok"),
        (team.manager, "x", "manager on x"),
    ] {
        let body = json!({"channel": channel, "title": title, "body": ""});
        let created = team.test.post(author, &team.items(), body).await.expect(201);
        if channel == "tiktok" {
            let item = format!("{}/{}", team.items(), created.text("id"));
            team.act(author, &item, "submit").await.expect(200);
        }
    }
    let titles = async |query: String| column(&list(&team, &query).await, "title");
    assert_eq!(titles("?channel=x".to_owned()).await, ["manager on x", "author on x"]);
    assert_eq!(titles("?status=in_approval".to_owned()).await, ["author on tiktok"]);
    assert_eq!(titles(format!("?author_id={}", team.manager)).await, ["manager on x"]);
    assert_eq!(titles(format!("?status=draft&channel=x&author_id={}", team.author)).await, ["author on x"]);
    assert!(titles("?status=published".to_owned()).await.is_empty());

    let first = list(&team, "?channel=x&limit=1").await;
    let second = format!("?channel=x&limit=1&cursor={}", first.text("next_cursor"));
    assert_eq!(titles(second).await, ["author on x"]);
}

#[tokio::test]
async fn revisions_and_decisions_are_listed_page_by_page() {
    let team = Team::start(2).await;
    let item = team.draft().await;
    for title in ["Second", "Third"] {
        team.rewrite(&item, title).await.expect(200);
    }
    let first = team.test.get(team.reviewer, &format!("{item}/revisions?limit=2")).await.expect(200);
    let path = format!("{item}/revisions?limit=2&cursor={}", first.text("next_cursor"));
    let second = team.test.get(team.reviewer, &path).await.expect(200);
    assert_eq!([column(&first, "number"), column(&second, "number")].concat(), [3, 2, 1]);
    assert_eq!(second.body["next_cursor"], Value::Null);

    team.act(team.author, &item, "submit").await.expect(200);
    team.decide(team.reviewer, &item, "approve", 3).await.expect(201);
    team.decide(team.manager, &item, "approve", 3).await.expect(201);
    let first = team.test.get(team.author, &format!("{item}/decisions?limit=1")).await.expect(200);
    let path = format!("{item}/decisions?limit=1&cursor={}", first.text("next_cursor"));
    let second = team.test.get(team.author, &path).await.expect(200);
    let reviewers = [column(&first, "reviewer_id"), column(&second, "reviewer_id")].concat();
    assert_eq!(reviewers, [team.manager.to_string(), team.reviewer.to_string()]);
    assert_eq!(second.body["next_cursor"], Value::Null);

    for list in ["revisions", "decisions"] {
        let path = format!("{item}/{list}?cursor=nonsense");
        team.test.get(team.author, &path).await.expect_error(400, "malformed_request");
    }
}

/// Four bytes per character.
fn long_text(characters: usize) -> String {
    "𝄞".repeat(characters)
}

/// Reads all pages, checks their sizes, and returns the ids and the number of pages.
async fn all_pages(team: &Team, caller: UserId, path: &str, id: &str) -> (Vec<Value>, usize) {
    // Texts of a page, the item that exceeds the limit, and overhead.
    const LARGEST: usize = (256 << 10) + (40 << 10) + (32 << 10);
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = team.test.get(caller, &format!("{path}?limit=100{cursor}")).await.expect(200);
        assert!(page.bytes.len() <= LARGEST, "{path}: a page of {} bytes", page.bytes.len());
        ids.extend(column(&page, id));
        pages += 1;
        match &page.body["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return (ids, pages),
        }
    }
}

#[tokio::test]
async fn pages_of_long_texts_end_early_and_none_is_missed() {
    const COUNT: usize = 18;
    let team = Team::start(1).await;
    let item = team.draft().await;
    let reports = "/v1/feedback-reports";
    let (mut comments, mut feedback) = (Vec::new(), Vec::new());
    for number in 0..COUNT {
        let comment = json!({"body": long_text(5_000)});
        let path = format!("{item}/comments");
        comments.push(team.test.post(team.author, &path, comment).await.expect(201).body["id"].clone());
        let report = json!({"kind": "idea", "body": long_text(5_000)});
        feedback.push(team.test.post(team.author, reports, report).await.expect(201).body["id"].clone());
        let etag = team.etag(&item).await;
        // Different each time, because an edit without a change creates no revision.
        let body = format!("{number:02}{}", long_text(9_990));
        team.edit(team.author, &item, &etag, json!({"body": body})).await.expect(200);
    }
    comments.reverse();
    feedback.reverse();
    let operator = team.test.operator().await;
    let revisions: Vec<Value> = (1..=COUNT + 1).rev().map(|number| json!(number)).collect();
    // Number of texts of 20 KB, or of 40 KB, that fill a page.
    for (caller, path, id, expected, pages) in [
        (team.author, format!("{item}/comments"), "id", comments, COUNT.div_ceil(14)),
        (team.author, format!("{item}/revisions"), "number", revisions, (COUNT + 1).div_ceil(7)),
        (team.author, format!("{reports}/mine"), "id", feedback.clone(), COUNT.div_ceil(14)),
        (operator, reports.to_owned(), "id", feedback, COUNT.div_ceil(14)),
    ] {
        let read = all_pages(&team, caller, &path, id).await;
        assert!(read == (expected, pages), "{path}: {} pages of {:?}", read.1, read.0);
    }
}
