//! Limits on e-mails that users cause.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::ids::{UserId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use http::Method;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use socialize::platform::mail::MailTransport;
use socialize::run::workers::run_due_jobs;
use telemetry::{JobOutcome, meter};
use test_support::{Answer, TestApp};

use crate::content;
use crate::workspace_invites::Team;

/// Number of e-mails sent to each address.
fn sent(test: &TestApp) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for email in test.emails() {
        let message = MessageParser::default().parse(&email).expect("a message");
        let to = message.to().and_then(|to| to.first()).and_then(|to| to.address()).expect("a recipient");
        *sent.entry(to.to_owned()).or_default() += 1;
    }
    sent
}

fn withheld(test: &TestApp, limit: &str) -> i64 {
    match test.metrics().value("socialize.emails.withheld", &[("limit", limit)]) {
        Some(meter::Value::Integer(count)) => *count,
        other => panic!("a counter, not {other:?}"),
    }
}

async fn invite(team: &Team, workspace: WorkspaceId, email: &str) -> Answer {
    let path = format!("/v1/workspaces/{workspace}/invites");
    team.test.post(team.owner, &path, json!({"email": email, "role": "author"})).await
}

/// Before the limits, this sent five hundred e-mails in 42 seconds.
#[tokio::test]
async fn inviting_and_revoking_in_a_loop_does_not_flood_a_mailbox() {
    let team = Team::start().await;
    let mut workspaces = vec![team.workspace];
    for _ in 0..4 {
        workspaces.push(team.test.workspace(team.organization, 1).await);
    }
    let spellings =
        ["victim@example.com", "Victim@Example.com", "victim+1@example.com", "VICTIM+two@example.com"];
    let mut refused = 0;
    for round in 0..60 {
        let workspace = workspaces[round % workspaces.len()];
        let answer = invite(&team, workspace, spellings[round % spellings.len()]).await;
        if answer.status == 429 {
            let answer = answer.expect_error(429, "rate_limited");
            assert_eq!(answer.header("retry-after"), Some("86401"));
            refused += 1;
            continue;
        }
        let id = answer.expect(201).text("id");
        team.test.run_due_jobs().await;
        let path = format!("/v1/workspaces/{workspace}/invites/{id}");
        team.test.call(Some(team.owner), Method::DELETE, &path, Value::Null).await.expect(204);
    }
    assert_eq!((sent(&team.test).values().sum::<usize>(), refused), (10, 50));
    // Other addresses can still be invited, and this one again tomorrow.
    invite(&team, team.workspace, "other@example.com").await.expect(201);
    team.test.app.clock.advance(TimeDelta::days(1));
    invite(&team, team.workspace, spellings[0]).await.expect(201);
}

#[tokio::test]
async fn the_limit_of_a_mailbox_holds_over_organizations() {
    let team = Team::start().await;
    for _ in 0..10 {
        let (organization, owner) = team.test.organization().await;
        let workspace = team.test.workspace(organization, 1).await;
        let path = format!("/v1/workspaces/{workspace}/invites");
        team.test
            .post(owner, &path, json!({"email": "victim@example.com", "role": "author"}))
            .await
            .expect(201);
    }
    team.invite("victim@example.com").await.expect_error(429, "rate_limited");
    team.test.run_due_jobs().await;
    assert_eq!(sent(&team.test), BTreeMap::from([("victim@example.com".to_owned(), 10)]));
}

/// Inserts this many invites of one user into one workspace.
async fn invites(team: &Team, workspace: WorkspaceId, inviter: UserId, count: i32) {
    sqlx::query(
        "insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
         select gen_random_uuid(), $1, gen_random_uuid() || '@example.com', 'author', 'pending', $2, $3,
             $3 + interval '7 days'
         from generate_series(1, $4)",
    )
    .bind(workspace)
    .bind(inviter)
    .bind(team.test.app.clock.now())
    .bind(count)
    .execute(team.test.pool())
    .await
    .expect("invites");
}

#[tokio::test]
async fn the_limits_of_a_user_and_an_organization_hold_over_workspaces() {
    let team = Team::start().await;
    for _ in 0..4 {
        let workspace = team.test.workspace(team.organization, 1).await;
        invites(&team, workspace, team.owner, 50).await;
    }
    let refused = invite(&team, team.workspace, "a@example.com").await.expect_error(429, "rate_limited");
    assert!(refused.text("message").starts_with("You have created"), "{}", refused.body);
    // Other members have their own limit, below that of the organization.
    team.invite("a@example.com").await.expect(201);
    for _ in 0..3 {
        let workspace = team.test.workspace(team.organization, 1).await;
        let colleague =
            team.test.workspace_member(team.organization, workspace, WorkspaceRole::Manager).await;
        invites(&team, workspace, colleague, 100).await;
    }
    let refused = team.invite("b@example.com").await.expect_error(429, "rate_limited");
    assert!(refused.text("message").starts_with("This organization has created"), "{}", refused.body);
    team.test.app.clock.advance(TimeDelta::days(1));
    team.invite("b@example.com").await.expect(201);
}

/// Before the limits, this sent sixty e-mails in ten seconds.
#[tokio::test]
async fn submitting_and_editing_in_a_loop_asks_a_reviewer_once() {
    let team = content::Team::start(1).await;
    let item = team.draft().await;
    for round in 0..60 {
        team.act(team.author, &item, "submit").await.expect(200);
        team.test.run_due_jobs().await;
        team.rewrite(&item, &format!("Revision {round}")).await.expect(200);
    }
    team.act(team.author, &item, "submit").await.expect(200);
    team.test.run_due_jobs().await;
    let reviewer = team.test.email_of(team.reviewer).await;
    assert_eq!(sent(&team.test)[&reviewer], 1);
    // The last submission still leads to an e-mail.
    team.test.app.clock.advance(TimeDelta::minutes(10));
    team.test.run_due_jobs().await;
    assert_eq!(sent(&team.test)[&reviewer], 2);
    let last = team.test.emails().into_iter().rfind(|email| email.contains(&reviewer)).expect("an e-mail");
    assert!(last.contains("> Post: Revision 59"), "{last}");
    team.test.app.clock.advance(TimeDelta::minutes(10));
    team.test.run_due_jobs().await;
    assert_eq!(sent(&team.test)[&reviewer], 2);
}

#[tokio::test]
async fn what_waits_is_asked_once_and_about_what_there_is_then() {
    let team = content::Team::start(1).await;
    let item = team.submitted().await;
    team.rewrite(&item, "The second").await.expect(200);
    team.act(team.author, &item, "submit").await.expect(200);
    assert_eq!(team.emails().await.len(), 2, "one for each reviewer");
    team.decide(team.reviewer, &item, "request_changes", 2).await.expect(201);
    team.rewrite(&item, "The third").await.expect(200);
    team.act(team.author, &item, "submit").await.expect(200);
    team.test.run_due_jobs().await;
    let emails = team.test.emails();
    let asked: Vec<_> = emails.iter().filter(|email| email.contains("waits for your decision")).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|email| email.contains("> Post: The third")), "{asked:?}");
    // Reviewers who have decided are not notified any more.
    team.test.app.clock.advance(TimeDelta::minutes(10));
    team.rewrite(&item, "The fourth").await.expect(200);
    team.act(team.author, &item, "submit").await.expect(200);
    team.decide(team.reviewer, &item, "approve", 4).await.expect(201);
    let before = team.test.emails().len();
    team.test.run_due_jobs().await;
    let told = team.test.emails().split_off(before);
    assert_eq!(told.len(), 1, "only the author: {told:?}");
}

#[tokio::test]
async fn a_reviewer_gets_so_many_e_mails_an_hour_and_others_are_not_affected() {
    let team = content::Team::start(1).await;
    for _ in 0..40 {
        team.submitted().await;
    }
    team.test.log_lines();
    team.test.run_due_jobs().await;
    let (reviewer, manager) =
        (team.test.email_of(team.reviewer).await, team.test.email_of(team.manager).await);
    assert_eq!(sent(&team.test), BTreeMap::from([(reviewer.clone(), 30), (manager.clone(), 30)]));
    assert_eq!(withheld(&team.test, "recipient"), 20);
    let lines = team.test.log_lines();
    let line = lines.iter().find(|line| line["event"] == "socialize.emails.withheld").expect("a line");
    assert_eq!((line["limit"].as_str(), line["level"].as_str()), (Some("recipient"), Some("warn")), "{line}");
    assert_eq!(line["user.id"], team.author.to_string());
    assert!(line["organization.id"].is_string() && !line.to_string().contains('@'), "{line}");

    let later = team.member(WorkspaceRole::Reviewer).await;
    team.submitted().await;
    team.test.run_due_jobs().await;
    assert_eq!(sent(&team.test)[&team.test.email_of(later).await], 1);
    team.test.app.clock.advance(TimeDelta::hours(1));
    team.submitted().await;
    team.test.run_due_jobs().await;
    assert_eq!(sent(&team.test)[&reviewer], 31);
}

/// Two processes that send concurrently let no more through than one.
#[tokio::test]
async fn the_limit_of_a_mailbox_holds_over_processes() {
    let team = content::Team::start(1).await;
    let other = team.test.another_process();
    for _ in 0..45 {
        team.submitted().await;
    }
    let (first, second) = tokio::join!(run_due_jobs(&team.test.app), run_due_jobs(&other));
    first.and(second).expect("the queue answers");
    let reviewer = team.test.email_of(team.reviewer).await;
    assert_eq!(sent(&team.test)[&reviewer], 30);
}

#[tokio::test]
async fn what_strangers_cause_does_not_use_up_what_an_owner_needs() {
    let test = TestApp::start_with_settings(crate::world::without_rate_limits).await;
    crate::auth::verified(&test, "owner@example.com").await;
    for number in 0..20 {
        crate::auth::register(&test, &format!("Owner+{number}@example.com")).await.expect(202);
    }
    test.run_due_jobs().await;
    let to_owner = |test: &TestApp| -> usize {
        sent(test).iter().filter(|(address, _)| address.starts_with("owner")).map(|(_, count)| count).sum()
    };
    assert_eq!(to_owner(&test), 10);
    crate::auth::post(&test, "request-password-reset", json!({"email": "owner@example.com"}))
        .await
        .expect(202);
    test.run_due_jobs().await;
    assert_eq!(to_owner(&test), 11);
    for _ in 0..20 {
        crate::auth::post(&test, "request-password-reset", json!({"email": "owner@example.com"}))
            .await
            .expect(202);
    }
    test.run_due_jobs().await;
    assert_eq!(to_owner(&test), 20);
}

#[tokio::test]
async fn a_repeated_delivery_counts_once_and_the_ledger_forgets() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("emails");
    let test = TestApp::start_with_mail(Some(MailTransport::Directory(path.clone()))).await;
    let team = content::Team::join(test, 1).await;
    team.submitted().await;
    std::fs::remove_dir(&path).expect("removed");
    assert_eq!(team.test.run_due_jobs().await.of(JobOutcome::Retry), 2);
    assert_eq!(team.rows("email_ledger").await, 2);
    std::fs::create_dir(&path).expect("made");
    team.test.app.clock.advance(TimeDelta::seconds(10));
    assert_eq!(team.test.run_due_jobs().await.of(JobOutcome::Ok), 2);
    assert_eq!(std::fs::read_dir(&path).expect("a directory").count(), 2);
    assert_eq!(team.rows("email_ledger").await, 2);

    let entries: String = sqlx::query_scalar("select json_agg(l)::text from email_ledger l")
        .fetch_one(team.test.pool())
        .await
        .expect("entries");
    assert!(!entries.contains("example.com"), "the ledger has no addresses: {entries}");
    team.test.app.clock.advance(TimeDelta::days(1));
    socialize::features::auth::clean_up_tokens::run(&team.test.app).await.expect("cleaned up");
    assert_eq!(team.rows("email_ledger").await, 0);
}
