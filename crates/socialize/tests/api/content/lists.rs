//! Lists: pages and filters.

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
