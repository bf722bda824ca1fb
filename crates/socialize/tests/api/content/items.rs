//! Content items: create, read, edit.

use http::Method;
use serde_json::{Value, json};

use super::{ITEMS_CREATED, Team, column, id_of};

fn new_item() -> Value {
    json!({"channel": "instagram", "title": "Spring launch", "body": "It is here."})
}

#[tokio::test]
async fn creating_makes_a_draft_and_is_counted_once() {
    let team = Team::start(1).await;
    let created = team.test.post(team.author, &team.items(), new_item()).await.expect(201);
    let now = created.text("created_at");
    let expected = json!({
        "id": created.body["id"], "workspace_id": team.workspace, "channel": "instagram", "status": "draft",
        "revision": 1, "title": "Spring launch", "body": "It is here.", "author_id": team.author,
        "revision_author_id": team.author, "scheduled_at": null, "published_at": null,
        "publish_failure": null, "created_at": now, "updated_at": now,
    });
    assert_eq!(created.body, expected);
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(team.test.count(ITEMS_CREATED), 1);

    let read = team.read(&format!("{}/{}", team.items(), created.text("id"))).await;
    assert_eq!(read.body, expected);
    assert_eq!(read.header("etag"), Some("\"1\""));

    let lines = team.test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == ITEMS_CREATED).expect("a line of the fact");
    assert_eq!(fact["content_item.id"], created.body["id"]);
    assert_eq!(fact["channel"], "instagram");
    let requests: Vec<_> = lines.iter().filter(|line| line["http.route"].is_string()).collect();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request["content_item.id"], created.body["id"]);
        assert_eq!(request["workspace.id"], team.workspace.to_string());
    }
    let recorded = format!("{lines:?}");
    assert!(!recorded.contains("Spring") && !recorded.contains("It is here"), "text is never recorded");
}

#[tokio::test]
async fn a_refused_or_failed_creation_is_not_counted() {
    let team = Team::start(1).await;
    let test = &team.test;
    let stranger = test.user("stranger").await;
    test.call(None, Method::POST, &team.items(), new_item()).await.expect_error(401, "unauthenticated");
    test.post(stranger, &team.items(), new_item()).await.expect_error(404, "not_found");
    test.post(team.reviewer, &team.items(), new_item()).await.expect_error(403, "forbidden");
    for invalid in [
        json!({"channel": "telegraph", "title": "T", "body": ""}),
        json!({"channel": "x", "title": " ", "body": ""}),
        json!({"channel": "x", "title": "t".repeat(201), "body": ""}),
        json!({"channel": "x", "title": "T", "body": "b".repeat(10_001)}),
        json!({"channel": "x", "title": "T", "body": "null\u{0}"}),
        json!({"channel": "x", "title": "T"}),
        json!({"channel": "x", "title": "T", "body": "", "status": "approved"}),
    ] {
        test.post(team.author, &team.items(), invalid).await.expect_error(422, "invalid_field");
    }
    test.break_table("content_revisions").await;
    test.post(team.author, &team.items(), new_item()).await.expect_error(500, "internal");
    assert_eq!((test.count(ITEMS_CREATED), team.rows("content_items").await), (0, 0));
}

#[tokio::test]
async fn the_limits_of_text_are_inclusive() {
    let team = Team::start(1).await;
    let longest = json!({"channel": "x", "title": "é".repeat(200), "body": "é".repeat(10_000)});
    team.test.post(team.author, &team.items(), longest).await.expect(201);
    let shortest = json!({"channel": "other", "title": "T", "body": ""});
    team.test.post(team.author, &team.items(), shortest).await.expect(201);
}

#[tokio::test]
async fn a_repeated_idempotency_key_gets_the_first_answer_with_its_etag() {
    let team = Team::start(1).await;
    let send = |body: Value| {
        let headers = [("idempotency-key", "k1")];
        team.test.send(team.test.request(Some(team.author), Method::POST, &team.items(), &body, &headers))
    };
    let first = send(new_item()).await.expect(201);
    let second = send(new_item()).await.expect(201);
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(second.header("etag"), Some("\"1\""));
    let other = json!({"channel": "x", "title": "T", "body": ""});
    send(other).await.expect_error(422, "idempotency_key_reused");
    assert_eq!((team.test.count(ITEMS_CREATED), team.rows("content_items").await), (1, 1));
}

#[tokio::test]
async fn nobody_reaches_an_item_through_another_workspace() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let other = team.test.workspace(team.organization, 1).await;
    let elsewhere = format!("/v1/workspaces/{other}/content-items/{}", id_of(&item));
    let (test, owner) = (&team.test, team.owner);
    test.get(owner, &item).await.expect(200);
    test.get(owner, &elsewhere).await.expect_error(404, "not_found");
    team.edit(owner, &elsewhere, "*", json!({"title": "T"})).await.expect_error(404, "not_found");
    for action in ["submit", "unschedule", "publish", "archive"] {
        team.act(owner, &elsewhere, action).await.expect_error(404, "not_found");
    }
    team.schedule(owner, &elsewhere, "2026-12-01T09:00:00Z").await.expect_error(404, "not_found");
    team.decide(owner, &elsewhere, "approve", 1).await.expect_error(404, "not_found");
    for list in ["revisions", "decisions", "comments"] {
        test.get(owner, &format!("{elsewhere}/{list}")).await.expect_error(404, "not_found");
    }
    let comment = json!({"body": "Hello"});
    test.post(owner, &format!("{elsewhere}/comments"), comment).await.expect_error(404, "not_found");
    test.get(owner, &format!("{}/not-an-id", team.items())).await.expect_error(404, "not_found");
    assert_eq!(test.count(super::DECISIONS_SUBMITTED) + test.count(super::COMMENTS_CREATED), 0);
}

#[tokio::test]
async fn an_edit_makes_a_revision_and_moves_the_etag() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let edited = team
        .edit(team.manager, &item, "\"1\"", json!({"title": "Better", "channel": "facebook"}))
        .await
        .expect(200);
    assert_eq!(edited.header("etag"), Some("\"2\""));
    assert_eq!(edited.body["revision"], 2);
    assert_eq!((edited.text("title"), edited.text("body")), ("Better".to_owned(), "A body".to_owned()));
    assert_eq!(edited.text("channel"), "facebook");
    assert_eq!(edited.text("author_id"), team.author.to_string());
    assert_eq!(edited.text("revision_author_id"), team.manager.to_string());
    assert_eq!(team.read(&item).await.body, edited.body);

    let revisions = team.test.get(team.reviewer, &format!("{item}/revisions")).await.expect(200);
    assert_eq!(column(&revisions, "title"), ["Better", "A title"]);
    assert_eq!(column(&revisions, "number"), [2, 1]);
    let authors = [team.manager.to_string(), team.author.to_string()];
    assert_eq!(column(&revisions, "author_id"), authors);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_makes_no_revision() {
    let team = Team::start(1).await;
    let item = team.approved().await;
    let before = team.read(&item).await;
    let etag = before.header("etag").expect("an ETag");
    for same in [json!({"channel": "linkedin", "title": "A title", "body": "A body"}), json!({})] {
        let after = team.edit(team.author, &item, etag, same).await.expect(200);
        assert_eq!(after.body, before.body);
        assert_eq!(after.header("etag"), Some(etag));
        assert_eq!(after.text("status"), "approved");
    }
    team.edit(team.author, &item, "\"1\"", json!({})).await.expect_error(412, "version_mismatch");
}

#[tokio::test]
async fn an_edit_has_to_say_which_version_it_is_about() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let edit = json!({"title": "Mine"});
    team.test
        .call(Some(team.author), Method::PATCH, &item, edit.clone())
        .await
        .expect_error(428, "precondition_required");
    for malformed in ["1", "\"1", "", "\"1\" \"2\"", "\u{e9}"] {
        team.edit(team.author, &item, malformed, edit.clone()).await.expect_error(400, "malformed_request");
    }
    for stale in ["\"0\"", "W/\"0\"", "\"0-gzip\"", "\"10-gzip\"", "\"another\""] {
        team.edit(team.author, &item, stale, edit.clone()).await.expect_error(412, "version_mismatch");
    }
    assert_eq!(team.read(&item).await.body["revision"], 1);

    team.edit(team.author, &item, "\"9\", \"1\"", edit).await.expect(200);
    team.edit(team.author, &item, "\"1\"", json!({"title": "Late"}))
        .await
        .expect_error(412, "version_mismatch");
    team.edit(team.author, &item, "*", json!({"title": "Whatever it is"})).await.expect(200);
    assert_eq!(team.read(&item).await.body["revision"], 3);
}

#[tokio::test]
async fn a_version_is_known_by_what_proxies_make_of_its_etag_and_never_when_it_is_stale() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let forms: [fn(&str) -> String; 8] = [
        |etag| etag.to_owned(),
        |etag| format!("W/{etag}"),
        |etag| format!("{}-gzip\"", etag.trim_end_matches('"')),
        |etag| format!("{};gzip\"", etag.trim_end_matches('"')),
        |etag| format!("{}-br\"", etag.trim_end_matches('"')),
        |etag| format!("W/{}-zstd\"", etag.trim_end_matches('"')),
        |etag| format!("{}--gzip\"", etag.trim_end_matches('"')),
        |etag| format!("\"0\", W/{etag}, \"9\""),
    ];
    for (edits, changed) in forms.into_iter().enumerate() {
        let asked = changed(&team.etag(&item).await);
        let edit = json!({"title": format!("Edit {edits}")});
        team.edit(team.author, &item, &asked, edit.clone()).await.expect(200);
        let stale = team.edit(team.author, &item, &asked.replace(", \"9\"", ""), edit).await;
        stale.expect_error(412, "version_mismatch");
    }
    assert_eq!(team.read(&item).await.body["revision"], 9);
}

#[tokio::test]
async fn a_refused_or_failed_edit_leaves_the_item_alone() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let before = team.read(&item).await;
    team.edit(team.reviewer, &item, "\"1\"", json!({"title": "T"})).await.expect_error(403, "forbidden");
    for invalid in [json!([]), json!({"title": ""}), json!({"channel": "fax"}), json!({"status": "approved"})]
    {
        team.edit(team.author, &item, "\"1\"", invalid).await.expect_error(422, "invalid_field");
    }
    team.test.break_table("content_revisions").await;
    team.edit(team.author, &item, "\"1\"", json!({"title": "T"})).await.expect_error(500, "internal");
    assert_eq!(team.read(&item).await.body, before.body);

    team.act(team.author, &item, "archive").await.expect(200);
    team.edit(team.author, &item, "*", json!({"title": "T"})).await.expect_error(409, "transition_refused");
}

#[tokio::test]
async fn of_two_edits_of_one_version_one_is_refused() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let (one, other) = team
        .one_after_the_other(
            &item,
            team.edit(team.author, &item, "\"1\"", json!({"title": "One"})),
            team.edit(team.manager, &item, "\"1\"", json!({"title": "Other"})),
        )
        .await;
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(team.rows("content_revisions").await, 2);
}
