//! Reminders of stale approvals: not too early, not too often, and only to reviewers who have to decide.

use chrono::TimeDelta;
use domain::ids::{ContentItemId, UserId};
use domain::vocabulary::{Decision, WorkspaceRole};
use mail_parser::MessageParser;
use socialize::features::content::remind_stale_approvals;
use socialize::features::email::Email;
use test_support::TestApp;
use uuid::Uuid;

use crate::email::{deliveries, enqueue_email, item_in_approval};
use crate::support::nothing_reveals;

async fn remind(test: &TestApp) -> usize {
    remind_stale_approvals::run(&test.app).await.expect("reminded")
}

/// Recipients of e-mails since the last call.
async fn sent_to(test: &TestApp, before: &mut usize) -> Vec<String> {
    test.run_due_jobs().await;
    let emails = test.emails();
    let to = |email: &String| {
        let message = MessageParser::default().parse(email).expect("a message");
        message.to().and_then(|to| to.first()).and_then(|to| to.address()).expect("a recipient").to_owned()
    };
    let mut sent: Vec<String> = emails[*before..].iter().map(to).collect();
    *before = emails.len();
    sent.sort();
    sent
}

async fn addresses<const N: usize>(test: &TestApp, users: [UserId; N]) -> Vec<String> {
    let mut addresses = Vec::new();
    for user in users {
        addresses.push(test.email_of(user).await);
    }
    addresses.sort();
    addresses
}

async fn decide(test: &TestApp, item: ContentItemId, reviewer: UserId) {
    sqlx::query(
        "insert into approval_decisions (id, content_item_id, revision_number, reviewer_id, decision, created_at)
         values ($1, $2, 2, $3, $4, $5)",
    )
    .bind(Uuid::now_v7())
    .bind(item)
    .bind(reviewer)
    .bind(Decision::Approve)
    .bind(test.app.clock.now())
    .execute(test.pool())
    .await
    .expect("a decision");
}

#[tokio::test]
async fn reviewers_who_have_not_decided_are_reminded_once_a_day() {
    let test = TestApp::start().await;
    let (item, workspace, author, reviewer) = item_in_approval(&test).await;
    let organization = sqlx::query_scalar("select id from organizations").fetch_one(test.pool()).await;
    let organization = organization.expect("an organization");
    let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
    let mut seen = 0;

    test.app.clock.advance(TimeDelta::hours(72));
    assert_eq!(remind(&test).await, 0, "72 hours are not over 72 hours");
    test.app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(remind(&test).await, 2);
    assert_eq!(remind(&test).await, 0);
    assert_eq!(
        sent_to(&test, &mut seen).await,
        addresses(&test, [reviewer, manager]).await,
        "not the author"
    );
    assert_eq!(deliveries(&test, "approval_reminder", "delivered"), 2);

    test.app.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    assert_eq!(remind(&test).await, 0);
    test.app.clock.advance(TimeDelta::seconds(1));
    decide(&test, item, reviewer).await;
    assert_eq!(remind(&test).await, 1);
    assert_eq!(sent_to(&test, &mut seen).await, addresses(&test, [manager]).await);

    // The author may decide if the workspace allows it.
    sqlx::query("update workspaces set allow_self_approval = true")
        .execute(test.pool())
        .await
        .expect("allowed");
    sqlx::query("update workspace_members set role = 'reviewer' where user_id = $1")
        .bind(author)
        .execute(test.pool())
        .await
        .expect("a reviewer");
    assert_eq!(remind(&test).await, 1);
    assert_eq!(sent_to(&test, &mut seen).await, addresses(&test, [author]).await);

    test.app.clock.advance(TimeDelta::hours(24));
    sqlx::query("update content_items set status = 'approved'").execute(test.pool()).await.expect("approved");
    assert_eq!(remind(&test).await, 0);
}

#[tokio::test]
async fn a_reminder_says_what_waits_and_reveals_it_in_no_signal() {
    let test = TestApp::start().await;
    let (item, _, _, reviewer) = item_in_approval(&test).await;
    test.app.clock.advance(TimeDelta::hours(73));
    assert_eq!(remind(&test).await, 1);
    let address = test.email_of(reviewer).await;
    let mut seen = 0;
    assert_eq!(sent_to(&test, &mut seen).await, [address.as_str()]);
    let emails = test.emails();
    let message = MessageParser::default().parse(&emails[0]).expect("a message");
    assert_eq!(message.subject(), Some("A post still waits for your decision"));
    let text = message.body_text(0).expect("a text").replace("\r\n", "\n");
    assert!(
        text.contains(
            "has been waiting for your decision for a while:\n\n> Workspace: Workspace\n> Post: Title 2\n"
        ),
        "{text}"
    );
    assert!(text.contains(&format!("\nhttps://socialize.example/content-items/{item}\n")), "{text}");
    nothing_reveals(&test, &[&address, "Title 2"]).await;
}

#[tokio::test]
async fn a_reminder_that_has_become_pointless_is_not_sent() {
    let test = TestApp::start().await;
    let (content_item, _, _, reviewer) = item_in_approval(&test).await;
    test.app.clock.advance(TimeDelta::hours(73));
    assert_eq!(remind(&test).await, 1);
    decide(&test, content_item, reviewer).await;
    let mut seen = 0;
    assert_eq!(sent_to(&test, &mut seen).await, [""; 0]);
    enqueue_email(&test, Email::ApprovalReminder { content_item, revision: 1, reviewer }).await;
    assert_eq!(sent_to(&test, &mut seen).await, [""; 0]);
}

#[tokio::test]
async fn more_reminders_than_fit_into_a_batch_are_sent_in_one_run_and_once_by_two() {
    let test = TestApp::start().await;
    let (item, ..) = item_in_approval(&test).await;
    sqlx::query(
        "with copies as (
             insert into content_items
                 (id, workspace_id, channel, status, current_revision, status_entered_at, created_by, created_at,
                  updated_at)
             select gen_random_uuid(), workspace_id, channel, status, 1, status_entered_at, created_by, created_at,
                 updated_at
             from content_items, generate_series(1, 420) where id = $1
             returning id, created_by, created_at
         )
         insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
         select id, 1, 'T', '', created_by, created_at from copies",
    )
    .bind(item)
    .execute(test.pool())
    .await
    .expect("items");
    test.app.clock.advance(TimeDelta::hours(73));
    let other = test.another_process();
    let (one, two) =
        tokio::join!(remind_stale_approvals::run(&test.app), remind_stale_approvals::run(&other));
    assert_eq!(one.expect("reminded") + two.expect("reminded"), 421);
    let emails: i64 = sqlx::query_scalar("select count(*) from jobs where kind = 'send_email'")
        .fetch_one(test.pool())
        .await
        .expect("the outbox");
    assert_eq!(emails, 421);
}
