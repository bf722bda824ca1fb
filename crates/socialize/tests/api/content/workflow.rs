//! The workflow from draft to archive: who may take which step, and when.
//!
//! Long because each step of the workflow is a test.

use chrono::{DateTime, TimeDelta, Utc};
use domain::vocabulary::WorkspaceRole;
use http::Method;
use serde_json::{Value, json};

use super::{DECISIONS_SUBMITTED, ITEMS_CREATED, Team, column, id_of};

#[tokio::test]
async fn content_goes_from_draft_to_the_archive() {
    let team = Team::start(2).await;
    let item = team.draft().await;
    team.act(team.author, &item, "submit").await.expect(200);
    let decided = team.decide(team.reviewer, &item, "request_changes", 1).await.expect(201);
    assert_eq!(decided.body["content_item_status"], "changes_requested");
    team.act(team.author, &item, "submit").await.expect_error(409, "transition_refused");

    team.rewrite(&item, "Changed as requested").await.expect(200);
    assert_eq!(team.status(&item).await, "draft");
    team.act(team.author, &item, "submit").await.expect(200);
    let decided = team.decide(team.reviewer, &item, "approve", 2).await.expect(201);
    assert_eq!(decided.body["content_item_status"], "in_approval");
    let decided = team.decide(team.manager, &item, "approve", 2).await.expect(201);
    assert_eq!(decided.body["content_item_status"], "approved");

    let scheduled = team.schedule(team.manager, &item, "2026-12-01T08:00:00+01:00").await.expect(200);
    assert_eq!(scheduled.text("status"), "scheduled");
    assert_eq!(scheduled.text("scheduled_at"), "2026-12-01T07:00:00Z");
    team.test.app.clock.advance(TimeDelta::hours(1));
    let published = team.act(team.manager, &item, "mark-published").await.expect(200);
    assert_eq!(published.text("status"), "published");
    assert_eq!(published.text("published_at"), "2026-11-23T10:00:00Z");
    team.rewrite(&item, "Too late").await.expect_error(409, "transition_refused");

    let archived = team.act(team.manager, &item, "archive").await.expect(200);
    assert_eq!(archived.text("status"), "archived");
    assert_eq!(archived.text("published_at"), "2026-11-23T10:00:00Z");
    assert_eq!(archived.body, team.read(&item).await.body);
    for action in ["submit", "unschedule", "publish", "archive"] {
        team.act(team.manager, &item, action).await.expect_error(409, "transition_refused");
    }

    let decisions = team.test.get(team.author, &format!("{item}/decisions")).await.expect(200);
    assert_eq!(column(&decisions, "decision"), ["approve", "approve", "request_changes"]);
    assert_eq!(column(&decisions, "is_void"), [false, false, true]);
    assert_eq!((team.test.count(ITEMS_CREATED), team.test.count(DECISIONS_SUBMITTED)), (1, 3));
    let metrics = team.test.metrics();
    assert_eq!(metrics.total(DECISIONS_SUBMITTED), team.rows("approval_decisions").await);
}

#[tokio::test]
async fn each_step_is_for_some_roles() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let (manager, author, reviewer) = (team.manager, team.author, team.reviewer);
    let stranger = team.test.user("stranger").await;
    let at = "2026-12-01T09:00:00Z";

    team.act(reviewer, &item, "submit").await.expect_error(403, "forbidden");
    team.decide(author, &item, "approve", 1).await.expect_error(403, "forbidden");
    for caller in [author, reviewer] {
        team.schedule(caller, &item, at).await.expect_error(403, "forbidden");
        team.act(caller, &item, "unschedule").await.expect_error(403, "forbidden");
        team.act(caller, &item, "publish").await.expect_error(403, "forbidden");
    }
    team.act(reviewer, &item, "archive").await.expect_error(403, "forbidden");
    for action in ["submit", "unschedule", "publish", "archive"] {
        team.act(stranger, &item, action).await.expect_error(404, "not_found");
    }
    team.schedule(stranger, &item, at).await.expect_error(404, "not_found");
    team.decide(stranger, &item, "approve", 1).await.expect_error(404, "not_found");
    assert_eq!(team.status(&item).await, "draft");

    // The organization's owner has the rights of a manager.
    team.act(team.owner, &item, "submit").await.expect(200);
    team.decide(team.owner, &item, "approve", 1).await.expect(201);
    team.schedule(manager, &item, at).await.expect(200);
    team.act(manager, &item, "unschedule").await.expect(200);
    assert_eq!(team.status(&item).await, "approved");
}

#[tokio::test]
async fn steps_out_of_order_are_refused_with_an_explanation() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let manager = team.manager;
    let at = "2026-12-01T09:00:00Z";
    let refusal = team.act(manager, &item, "publish").await.expect_error(409, "transition_refused");
    assert!(refusal.text("message").contains("needs the approval"), "{}", refusal.body);
    team.schedule(manager, &item, at).await.expect_error(409, "transition_refused");
    team.act(manager, &item, "unschedule").await.expect_error(409, "transition_refused");
    let refusal = team.decide(manager, &item, "approve", 1).await.expect_error(409, "transition_refused");
    assert!(refusal.text("message").contains("in approval"), "{}", refusal.body);
    team.act(manager, &item, "submit").await.expect(200);
    let refusal = team.act(manager, &item, "submit").await.expect_error(409, "transition_refused");
    assert!(refusal.text("message").contains("Only a draft"), "{}", refusal.body);
    team.schedule(manager, &item, at).await.expect_error(409, "transition_refused");
    assert_eq!((team.status(&item).await.as_str(), team.test.count(DECISIONS_SUBMITTED)), ("in_approval", 0));
}

#[tokio::test]
async fn an_item_is_scheduled_in_the_future_and_at_most_a_year_ahead() {
    let team = Team::start(1).await;
    let item = team.approved().await;
    // The test's clock starts at 09:00.
    for invalid in [
        "2026-11-23T09:00:00Z",
        "1970-01-01T00:00:00Z",
        "2027-11-23T09:00:00.000001Z",
        "9999-12-31T23:59:59Z",
    ] {
        team.schedule(team.manager, &item, invalid).await.expect_error(422, "invalid_field");
    }
    for invalid in ["2026-12-01", "2026-12-01T09:00:00", "tomorrow"] {
        team.schedule(team.manager, &item, invalid).await.expect_error(422, "invalid_field");
    }
    for valid in ["2026-11-23T09:00:00.000001Z", "2027-11-23T09:00:00Z"] {
        let scheduled = team.schedule(team.manager, &item, valid).await.expect(200);
        assert_eq!(scheduled.text("scheduled_at"), valid);
        assert_eq!(team.read(&item).await.text("scheduled_at"), valid);
    }
    let unscheduled = team.act(team.manager, &item, "unschedule").await.expect(200);
    assert_eq!(
        (unscheduled.text("status").as_str(), &unscheduled.body["scheduled_at"]),
        ("approved", &Value::Null)
    );
}

/// Accepted notations of a time, each with the normalized time.
const SPELLINGS: &[(&str, &str)] = &[
    ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
    ("2026-12-01t09:00:01z", "2026-12-01T09:00:01Z"),
    ("2026-12-01T10:00:03+01:00", "2026-12-01T09:00:03Z"),
    ("2026-11-30T23:00:05-10:00", "2026-12-01T09:00:05Z"),
    ("2026-12-02T08:59:06+23:59", "2026-12-01T09:00:06Z"),
    ("2026-12-01T09:00:07-00:00", "2026-12-01T09:00:07Z"),
    ("2026-12-01T09:00:08.5Z", "2026-12-01T09:00:08.500Z"),
    ("2026-12-01T09:00:09.123456Z", "2026-12-01T09:00:09.123456Z"),
    // More digits than are stored.
    ("2026-12-01T09:00:10.1234567Z", "2026-12-01T09:00:10.123456Z"),
    ("2026-12-01T09:00:11.999999999Z", "2026-12-01T09:00:11.999999Z"),
    ("2026-12-01T09:00:12.0000001234567890123456789Z", "2026-12-01T09:00:12Z"),
    // A leap second, which counts as part of the next day, as in Unix time.
    ("2026-12-01T23:59:60.25z", "2026-12-02T00:00:00.250Z"),
    ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z"),
    ("2027-01-01T00:59:60.9999999+01:00", "2027-01-01T00:00:00.999999Z"),
];

#[tokio::test]
async fn however_a_time_is_spelled_it_is_stored_returned_and_scheduled_as_one_instant() {
    let team = Team::start(1).await;
    let item = team.approved().await;
    for (spelling, expected) in SPELLINGS {
        let scheduled = team.schedule(team.manager, &item, spelling).await.expect(200);
        assert_eq!(scheduled.text("scheduled_at"), *expected, "{spelling}");
        assert_eq!(team.read(&item).await.text("scheduled_at"), *expected, "{spelling}");
        let (stored, job, payload): (String, String, String) = sqlx::query_as(
            "select item.scheduled_at::text, job.run_at::text, (job.payload->>'scheduled_at')::timestamptz::text
             from content_items item, jobs job where item.id = $1::uuid and job.kind = 'publish_content_item'
             order by job.id desc limit 1",
        )
        .bind(id_of(&item))
        .fetch_one(team.test.pool())
        .await
        .expect("the item and its job");
        assert_eq!((&job, &payload), (&stored, &stored), "{spelling}");
    }
    for (refused, reason) in [
        ("2026-12-01T09:00:60Z", "second 60"),
        ("2026-12-01 09:00:00Z", "T between"),
        ("2026-12-01T09:00:00+0100", "colon"),
        ("2026-12-01T09:00:61Z", "RFC 3339"),
        ("2026-12-01T24:00:00Z", "RFC 3339"),
        ("2026-02-29T09:00:00Z", "RFC 3339"),
        ("2026-12-01T09:00Z", "RFC 3339"),
        ("2026-12-01T09:00:00+24:00", "RFC 3339"),
        ("2026-12-01T09:00:00\u{2212}01:00", "RFC 3339"),
        ("+002026-12-01T09:00:00Z", "RFC 3339"),
        ("02026-12-01T09:00:00Z", "RFC 3339"),
        ("2026-12-01T09:00:00", "offset"),
        ("2026-12-01", "RFC 3339"),
        ("9999-12-31T23:59:60Z", "year"),
        ("0000-01-01T00:00:00+00:01", "year"),
        ("0000-01-01T00:00:00Z", "future"),
        ("9999-12-31T23:59:59Z", "a year ahead"),
    ] {
        let answer = team.schedule(team.manager, &item, refused).await.expect_error(422, "invalid_field");
        let message = answer.text("message");
        assert!(message.starts_with("scheduled_at: ") && message.contains(reason), "{refused}: {message}");
    }
}

#[tokio::test]
async fn authors_archive_what_they_created_and_managers_everything() {
    let team = Team::start(1).await;
    let (by_author, another) = (team.draft().await, team.draft().await);
    let other_author = team.member(WorkspaceRole::Author).await;
    team.act(other_author, &by_author, "archive").await.expect_error(403, "forbidden");
    team.act(team.author, &by_author, "archive").await.expect(200);
    team.act(team.manager, &another, "archive").await.expect(200);
}

#[tokio::test]
async fn every_step_moves_the_etag() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let mut seen = vec![team.etag(&item).await];
    for action in ["submit", "approve", "schedule", "unschedule", "mark-published", "archive"] {
        match action {
            "approve" => drop(team.decide(team.reviewer, &item, "approve", 1).await.expect(201)),
            "schedule" => {
                drop(team.schedule(team.manager, &item, "2026-12-01T09:00:00Z").await.expect(200));
            }
            _ => {
                let answer = team.act(team.manager, &item, action).await.expect(200);
                assert_eq!(answer.header("etag"), Some(team.etag(&item).await.as_str()));
            }
        }
        seen.push(team.etag(&item).await);
    }
    assert_eq!(seen, (1..=7).map(|version| format!("\"{version}\"")).collect::<Vec<_>>());
}

#[tokio::test]
async fn submitting_asks_those_who_may_decide() {
    let team = Team::start(1).await;
    let other_author = team.member(WorkspaceRole::Author).await;
    let writing_manager = team.member(WorkspaceRole::Manager).await;
    let item = team.draft().await;
    team.edit(writing_manager, &item, "*", json!({"title": "By a manager"})).await.expect(200);
    team.act(other_author, &item, "submit").await.expect(200);

    // Neither other authors nor the revision's author are notified.
    let asked = |reviewer| {
        json!({
            "template": "approval_requested", "content_item": id_of(&item), "revision": 2, "reviewer": reviewer,
        })
    };
    assert_eq!(team.emails().await, [asked(team.manager), asked(team.reviewer)]);
}

#[tokio::test]
async fn whoever_submits_is_not_asked() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    team.act(team.manager, &item, "submit").await.expect(200);
    let emails = team.emails().await;
    assert_eq!((emails.len(), emails[0]["reviewer"].clone()), (1, json!(team.reviewer)));
}

#[tokio::test]
async fn who_wrote_the_revision_is_asked_where_the_workspace_allows_it() {
    let team = Team::start(1).await;
    sqlx::query("update workspaces set allow_self_approval = true")
        .execute(team.test.pool())
        .await
        .expect("changed rules");
    let item = team.draft().await;
    team.edit(team.manager, &item, "*", json!({"title": "By a manager"})).await.expect(200);
    team.act(team.author, &item, "submit").await.expect(200);
    let asked: Vec<_> = team.emails().await.iter().map(|email| email["reviewer"].clone()).collect();
    assert_eq!(asked, [json!(team.manager), json!(team.reviewer)]);
}

#[tokio::test]
async fn only_so_many_are_asked_by_email() {
    let team = Team::start(1).await;
    for _ in 0..60 {
        team.member(WorkspaceRole::Reviewer).await;
    }
    team.submitted().await;
    assert_eq!(team.emails().await.len(), 50);
}

#[tokio::test]
async fn a_failed_step_leaves_the_item_alone_and_sends_nothing() {
    let team = Team::start(1).await;
    let (draft, approved) = (team.draft().await, team.approved().await);
    let emails = team.emails().await;
    team.test.break_table("content_items").await;
    team.act(team.author, &draft, "submit").await.expect_error(500, "internal");
    team.schedule(team.manager, &approved, "2026-12-01T09:00:00Z").await.expect_error(500, "internal");
    team.act(team.manager, &approved, "publish").await.expect_error(500, "internal");
    team.act(team.manager, &approved, "archive").await.expect_error(500, "internal");
    assert_eq!(
        (team.status(&draft).await.as_str(), team.status(&approved).await.as_str()),
        ("draft", "approved")
    );
    assert_eq!(team.emails().await, emails);
}

#[tokio::test]
async fn every_change_shows_its_workspace_in_use() {
    let team = Team::start(1).await;
    let mut item = String::new();
    let mut comment = String::new();
    for change in [
        "create",
        "edit",
        "comment",
        "delete",
        "submit",
        "approve",
        "schedule",
        "unschedule",
        "mark-published",
        "archive",
    ] {
        team.test.app.clock.advance(TimeDelta::hours(1));
        match change {
            "create" => item = team.draft().await,
            "edit" => drop(team.rewrite(&item, "Another").await.expect(200)),
            "comment" => {
                let path = format!("{item}/comments");
                let created = team.test.post(team.author, &path, json!({"body": "Hello"})).await.expect(201);
                comment = format!("{path}/{}", created.text("id"));
            }
            "delete" => {
                let deleted = team.test.call(Some(team.author), Method::DELETE, &comment, Value::Null).await;
                drop(deleted.expect(204));
            }
            "approve" => drop(team.decide(team.reviewer, &item, "approve", 2).await.expect(201)),
            "schedule" => {
                drop(team.schedule(team.manager, &item, "2026-12-01T09:00:00Z").await.expect(200));
            }
            action => drop(team.act(team.manager, &item, action).await.expect(200)),
        }
        let last_active_at: DateTime<Utc> =
            sqlx::query_scalar("select last_active_at from workspaces where id = $1")
                .bind(team.workspace)
                .fetch_one(team.test.pool())
                .await
                .expect("a workspace");
        assert_eq!(last_active_at, team.test.app.clock.now(), "{change}");
    }
}

#[tokio::test]
async fn reviewers_and_authors_get_their_emails() {
    let team = Team::start(1).await;
    let item = team.submitted().await;
    team.test.run_due_jobs().await;
    let asked = team.test.emails();
    assert_eq!(asked.len(), 2);
    for reviewer in [team.manager, team.reviewer] {
        let address = team.test.email_of(reviewer).await;
        assert!(
            asked.iter().any(|email| email.contains(&address) && email.contains(id_of(&item))),
            "{asked:?}"
        );
    }

    team.decide(team.reviewer, &item, "request_changes", 1).await.expect(201);
    team.test.run_due_jobs().await;
    let address = team.test.email_of(team.author).await;
    let told: Vec<_> = team.test.emails().into_iter().filter(|email| email.contains(&address)).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(id_of(&item)), "{told:?}");
}

#[tokio::test]
async fn an_edit_before_the_email_is_sent_makes_it_needless() {
    let team = Team::start(1).await;
    let item = team.submitted().await;
    team.rewrite(&item, "Another").await.expect(200);
    team.test.run_due_jobs().await;
    assert_eq!((team.emails().await.len(), team.test.emails().len()), (0, 0));
}

#[tokio::test]
async fn publishing_is_left_to_the_worker_and_marking_is_not() {
    let team = Team::start(1).await;
    let (delivered, by_hand) = (team.approved().await, team.approved().await);
    let published = team.act(team.manager, &delivered, "publish").await.expect(200);
    assert_eq!(published.text("status"), "scheduled");
    assert_eq!(published.text("scheduled_at"), "2026-11-23T09:00:00Z");
    let marked = team.act(team.manager, &by_hand, "mark-published").await.expect(200);
    assert_eq!(marked.text("status"), "published");
    let first_published = || team.test.count("socialize.workspaces.first_published");
    assert_eq!(first_published(), 1);
    let another = team.approved().await;
    team.act(team.manager, &another, "mark-published").await.expect(200);
    assert_eq!(first_published(), 1, "only the first one of a workspace counts");
    let jobs: Vec<Value> = sqlx::query_scalar("select payload from jobs where kind = 'publish_content_item'")
        .fetch_all(team.test.pool())
        .await
        .expect("jobs");
    let expected = json!({
        "workspace": team.workspace, "content_item": id_of(&delivered), "revision": 1,
        "scheduled_at": "2026-11-23T09:00:00Z",
    });
    assert_eq!(jobs, [expected]);
    let draft = team.draft().await;
    team.act(team.manager, &draft, "mark-published").await.expect_error(409, "transition_refused");
}

#[tokio::test]
async fn nothing_is_scheduled_that_has_nowhere_to_go() {
    let team = Team::start(1).await;
    sqlx::query("delete from publishing_endpoints").execute(team.test.pool()).await.expect("deleted");
    let item = team.approved().await;
    let at = "2026-12-01T09:00:00Z";
    let refused =
        team.schedule(team.manager, &item, at).await.expect_error(409, "publishing_endpoint_missing");
    assert!(refused.text("message").contains("set one first"), "{}", refused.body);
    team.act(team.manager, &item, "publish").await.expect_error(409, "publishing_endpoint_missing");
    assert_eq!(team.status(&item).await, "approved");
    team.act(team.manager, &item, "mark-published").await.expect(200);
}
