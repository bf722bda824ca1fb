//! Approval decisions: permissions, preconditions and effects.

use http::Method;
use serde_json::{Value, json};

use super::{DECISIONS_SUBMITTED, Team, column, id_of, series};

/// Number of decisions of each kind, by the metrics.
fn counted(team: &Team) -> [i64; 3] {
    let metrics = team.test.metrics();
    ["approve", "request_changes", "reject"]
        .map(|decision| series(&metrics, DECISIONS_SUBMITTED, ("decision", decision)))
}

#[tokio::test]
async fn a_decision_is_kept_answered_and_counted_once() {
    let team = Team::start(2).await;
    let item = team.submitted().await;
    let body = json!({"decision": "approve", "revision": 1, "note": "Lovely"});
    let submitted = team.test.post(team.reviewer, &format!("{item}/decisions"), body).await.expect(201);
    let expected = json!({
        "id": submitted.body["id"], "revision": 1, "reviewer_id": team.reviewer, "decision": "approve",
        "note": "Lovely", "is_void": false, "created_at": submitted.body["created_at"],
    });
    let listed = team.test.get(team.author, &format!("{item}/decisions")).await.expect(200);
    assert_eq!(listed.body["items"], json!([expected]));
    let mut with_status = expected;
    with_status["content_item_status"] = json!("in_approval");
    assert_eq!(submitted.body, with_status);
    assert_eq!(counted(&team), [1, 0, 0]);

    let lines = team.test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == DECISIONS_SUBMITTED).expect("a line of the fact");
    assert_eq!(fact["content_item.id"], id_of(&item));
    assert_eq!(fact["content_item.revision"], 1);
    assert_eq!(fact["decision"], "approve");
    assert!(!format!("{lines:?}").contains("Lovely"), "notes are never recorded");
}

#[tokio::test]
async fn each_decision_leads_where_it_should_and_the_author_is_told() {
    for (decision, status) in
        [("approve", "approved"), ("request_changes", "changes_requested"), ("reject", "rejected")]
    {
        let team = Team::start(1).await;
        let item = team.submitted().await;
        let asked = team.emails().await.len();
        let decided = team.decide(team.reviewer, &item, decision, 1).await.expect(201);
        assert_eq!(decided.body["content_item_status"], status);
        assert_eq!(team.status(&item).await, status);
        let told = json!({
            "template": "approval_decided", "content_item": id_of(&item), "author": team.author, "decision": decision,
        });
        assert_eq!(team.emails().await[asked..], [told]);
    }
}

#[tokio::test]
async fn an_approval_that_does_not_complete_tells_nobody() {
    let team = Team::start(2).await;
    let item = team.submitted().await;
    let asked = team.emails().await.len();
    team.decide(team.reviewer, &item, "approve", 1).await.expect(201);
    assert_eq!(team.emails().await.len(), asked);
    team.decide(team.manager, &item, "approve", 1).await.expect(201);
    assert_eq!(team.emails().await.len(), asked + 1);
}

#[tokio::test]
async fn a_reviewer_decides_once_on_a_revision() {
    let team = Team::start(3).await;
    let item = team.submitted().await;
    team.decide(team.reviewer, &item, "approve", 1).await.expect(201);
    let again = team.decide(team.reviewer, &item, "reject", 1).await.expect_error(409, "transition_refused");
    assert!(again.text("message").contains("decided on this revision already"), "{}", again.body);
    assert_eq!((counted(&team), team.rows("approval_decisions").await), ([1, 0, 0], 1));
}

#[tokio::test]
async fn nobody_decides_on_their_own_revision_unless_the_workspace_allows_it() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    team.edit(team.manager, &item, "*", json!({"title": "Mine"})).await.expect(200);
    team.act(team.author, &item, "submit").await.expect(200);
    let own = team.decide(team.manager, &item, "approve", 2).await.expect_error(409, "transition_refused");
    assert!(own.text("message").contains("You wrote this revision"), "{}", own.body);
    assert_eq!(counted(&team), [0, 0, 0]);

    sqlx::query("update workspaces set allow_self_approval = true")
        .execute(team.test.pool())
        .await
        .expect("changed rules");
    let asked = team.emails().await.len();
    team.decide(team.manager, &item, "approve", 2).await.expect(201);
    assert_eq!(team.status(&item).await, "approved");
    assert_eq!(team.emails().await.len(), asked, "nobody is told what they did themselves");
}

#[tokio::test]
async fn an_edit_voids_decisions_and_decisions_on_it_are_refused() {
    let team = Team::start(2).await;
    let item = team.submitted().await;
    team.decide(team.reviewer, &item, "approve", 1).await.expect(201);
    team.rewrite(&item, "Another").await.expect(200);
    team.act(team.author, &item, "submit").await.expect(200);

    // Neither an old revision nor a future one.
    for revision in [1, 3] {
        let late = team
            .decide(team.manager, &item, "approve", revision)
            .await
            .expect_error(409, "transition_refused");
        assert!(late.text("message").contains("another revision"), "{}", late.body);
    }
    let decided = team.decide(team.manager, &item, "approve", 2).await.expect(201);
    assert_eq!(decided.body["content_item_status"], "in_approval", "the approval of revision 1 is void");
    let decided = team.decide(team.reviewer, &item, "approve", 2).await.expect(201);
    assert_eq!(decided.body["content_item_status"], "approved");
    let decisions = team.test.get(team.author, &format!("{item}/decisions")).await.expect(200);
    assert_eq!(column(&decisions, "revision"), [2, 2, 1]);
    assert_eq!(column(&decisions, "is_void"), [false, false, true]);
}

#[tokio::test]
async fn malformed_decisions_are_refused() {
    let team = Team::start(1).await;
    let item = team.submitted().await;
    let path = format!("{item}/decisions");
    for invalid in [
        json!({"decision": "maybe", "revision": 1}),
        json!({"decision": "approve"}),
        json!({"decision": "approve", "revision": "1"}),
        json!({"decision": "approve", "revision": 1, "note": ""}),
        json!({"decision": "approve", "revision": 1, "note": "n".repeat(2_001)}),
        json!({"decision": "approve", "revision": 3_000_000_000_u32}),
    ] {
        team.test.post(team.reviewer, &path, invalid).await.expect_error(422, "invalid_field");
    }
    let unknown = format!("{}/{}/decisions", team.items(), uuid::Uuid::now_v7());
    let body = json!({"decision": "approve", "revision": 1});
    team.test.post(team.reviewer, &unknown, body).await.expect_error(404, "not_found");
    assert_eq!(counted(&team), [0, 0, 0]);
}

#[tokio::test]
async fn a_failed_decision_is_not_counted_and_tells_nobody() {
    let team = Team::start(1).await;
    let item = team.submitted().await;
    let emails = team.emails().await;
    team.test.break_table("approval_decisions").await;
    team.decide(team.reviewer, &item, "approve", 1).await.expect_error(500, "internal");
    assert_eq!((counted(&team), team.rows("approval_decisions").await), ([0, 0, 0], 0));
    assert_eq!(team.status(&item).await, "in_approval");
    assert_eq!(team.emails().await, emails);
}

#[tokio::test]
async fn a_repeated_idempotency_key_decides_once() {
    let team = Team::start(1).await;
    let item = team.submitted().await;
    let path = format!("{item}/decisions");
    let send = |body: Value| {
        let headers = [("idempotency-key", "k1")];
        team.test.send(team.test.request(Some(team.reviewer), Method::POST, &path, &body, &headers))
    };
    let body = json!({"decision": "approve", "revision": 1});
    let first = send(body.clone()).await.expect(201);
    let second = send(body).await.expect(201);
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!((counted(&team), team.rows("approval_decisions").await), ([1, 0, 0], 1));
}

#[tokio::test]
async fn of_two_approvals_at_once_the_second_completes() {
    let team = Team::start(2).await;
    let item = team.submitted().await;
    let (one, other) = team
        .one_after_the_other(
            &item,
            team.decide(team.reviewer, &item, "approve", 1),
            team.decide(team.manager, &item, "approve", 1),
        )
        .await;
    let mut statuses = [one, other].map(|answer| answer.expect(201).body["content_item_status"].to_string());
    statuses.sort_unstable();
    assert_eq!(statuses, ["\"approved\"", "\"in_approval\""]);
    assert_eq!((counted(&team), team.status(&item).await.as_str()), ([2, 0, 0], "approved"));
}

#[tokio::test]
async fn of_two_approvals_at_once_where_one_is_enough_the_other_is_refused() {
    let team = Team::start(1).await;
    let item = team.submitted().await;
    let (one, other) = team
        .one_after_the_other(
            &item,
            team.decide(team.reviewer, &item, "approve", 1),
            team.decide(team.manager, &item, "approve", 1),
        )
        .await;
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    assert_eq!((counted(&team), team.rows("approval_decisions").await), ([1, 0, 0], 1));
}

#[tokio::test]
async fn an_edit_and_an_approval_at_once_never_approve_what_nobody_read() {
    let team = Team::start(1).await;
    for edit_comes_first in [true, false] {
        let item = team.submitted().await;
        let etag = team.etag(&item).await;
        let edit = team.edit(team.author, &item, &etag, json!({"title": "Another"}));
        let decision = team.decide(team.reviewer, &item, "approve", 1);
        let (edit, decision) = if edit_comes_first {
            team.one_after_the_other(&item, edit, decision).await
        } else {
            let (decision, edit) = team.one_after_the_other(&item, decision, edit).await;
            (edit, decision)
        };
        let outcome = (edit.status.as_u16(), decision.status.as_u16(), team.status(&item).await);
        // The edit creates another revision and the approval changes the ETag, so the second request is
        // rejected.
        let expected = if edit_comes_first { (200, 409, "draft") } else { (412, 201, "approved") };
        assert_eq!((outcome.0, outcome.1, outcome.2.as_str()), expected);
    }
}
