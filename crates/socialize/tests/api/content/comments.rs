//! Comments on content items.

use domain::vocabulary::WorkspaceRole;
use http::Method;
use serde_json::{Value, json};

use super::{COMMENTS_CREATED, Team, column, id_of};

#[tokio::test]
async fn every_member_comments_and_each_comment_is_counted_once() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let path = format!("{item}/comments");
    for (member, body) in [(team.manager, "First"), (team.author, "Second"), (team.reviewer, "Third")] {
        let created = team.test.post(member, &path, json!({"body": body})).await.expect(201);
        assert_eq!((created.text("body").as_str(), created.text("author_id")), (body, member.to_string()));
    }
    assert_eq!(team.test.count(COMMENTS_CREATED), 3);

    let first = team.test.get(team.author, &format!("{path}?limit=2")).await.expect(200);
    let second = format!("{path}?limit=2&cursor={}", first.text("next_cursor"));
    let second = team.test.get(team.author, &second).await.expect(200);
    assert_eq!([column(&first, "body"), column(&second, "body")].concat(), ["Third", "Second", "First"]);
    assert_eq!(second.body["next_cursor"], Value::Null);

    let lines = team.test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == COMMENTS_CREATED).expect("a line of the fact");
    assert_eq!(fact["content_item.id"], id_of(&item));
    assert_eq!(fact["comment.id"], second.body["items"][0]["id"]);
    assert!(!format!("{lines:?}").contains("Third"), "comments are never recorded");
}

#[tokio::test]
async fn a_refused_or_failed_comment_is_not_counted() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let path = format!("{item}/comments");
    let (test, comment) = (&team.test, json!({"body": "Hello"}));
    let stranger = test.user("stranger").await;
    test.call(None, Method::POST, &path, comment.clone()).await.expect_error(401, "unauthenticated");
    test.post(stranger, &path, comment.clone()).await.expect_error(404, "not_found");
    test.get(stranger, &path).await.expect_error(404, "not_found");
    for invalid in [json!({}), json!({"body": "\n"}), json!({"body": "b".repeat(5_001)})] {
        test.post(team.author, &path, invalid).await.expect_error(422, "invalid_field");
    }
    test.get(team.author, &format!("{path}?cursor=nonsense")).await.expect_error(400, "malformed_request");

    test.break_table("comments").await;
    test.post(team.author, &path, comment.clone()).await.expect_error(500, "internal");
    team.act(team.author, &item, "archive").await.expect(200);
    test.post(team.author, &path, comment).await.expect_error(409, "transition_refused");
    assert_eq!((test.count(COMMENTS_CREATED), team.rows("comments").await), (0, 0));
}

#[tokio::test]
async fn a_repeated_idempotency_key_comments_once() {
    let team = Team::start(1).await;
    let path = format!("{}/comments", team.draft().await);
    let send = |path: &str| {
        let (body, headers) = (json!({"body": "Hello"}), [("idempotency-key", "k1")]);
        team.test.send(team.test.request(Some(team.reviewer), Method::POST, path, &body, &headers))
    };
    let first = send(&path).await.expect(201);
    assert_eq!(send(&path).await.expect(201).body, first.body);
    let elsewhere = format!("{}/comments", team.draft().await);
    send(&elsewhere).await.expect_error(422, "idempotency_key_reused");
    assert_eq!((team.test.count(COMMENTS_CREATED), team.rows("comments").await), (1, 1));
}

#[tokio::test]
async fn authors_of_comments_and_managers_delete_them() {
    let team = Team::start(1).await;
    let path = format!("{}/comments", team.draft().await);
    let other = team.member(WorkspaceRole::Author).await;
    let delete = async |caller, comment: &str| {
        let path = format!("{path}/{comment}");
        team.test.call(Some(caller), Method::DELETE, &path, Value::Null).await
    };
    for deleted_by in [team.reviewer, team.manager] {
        let created = team.test.post(team.reviewer, &path, json!({"body": "Oops"})).await.expect(201);
        delete(other, &created.text("id")).await.expect_error(403, "forbidden");
        assert_eq!(team.rows("comments").await, 1);
        let deleted = delete(deleted_by, &created.text("id")).await.expect(204);
        assert!(deleted.bytes.is_empty());
        assert_eq!(team.rows("comments").await, 0);
        delete(deleted_by, &created.text("id")).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn nobody_deletes_a_comment_through_another_item() {
    let team = Team::start(1).await;
    let path = format!("{}/comments", team.draft().await);
    let created = team.test.post(team.reviewer, &path, json!({"body": "Stays"})).await.expect(201);
    let elsewhere = format!("{}/comments/{}", team.draft().await, created.text("id"));
    team.test
        .call(Some(team.manager), Method::DELETE, &elsewhere, Value::Null)
        .await
        .expect_error(404, "not_found");
    let stranger = team.test.user("stranger").await;
    let comment = format!("{path}/{}", created.text("id"));
    team.test
        .call(Some(stranger), Method::DELETE, &comment, Value::Null)
        .await
        .expect_error(404, "not_found");
    assert_eq!(team.rows("comments").await, 1);
}
