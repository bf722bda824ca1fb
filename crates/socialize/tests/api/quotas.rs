//! Quotas of users and organizations, over all processes.

use std::num::NonZeroUsize;

use chrono::TimeDelta;
use http::Method;
use serde_json::json;
use socialize::platform::rate_limit::Limit;
use test_support::TestApp;

use crate::content::Team;
use crate::files::{PDF, attach, file};

const ORGANIZATIONS: &str = "/v1/organizations";
const REPORTS: &str = "/v1/feedback-reports";

async fn rows(test: &TestApp, table: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(statement).fetch_one(test.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_user_creates_so_many_organizations_and_no_more() {
    let test = TestApp::start_with_settings(|settings| settings.quotas.organizations_per_user = 3).await;
    let (user, other) = (test.user("a").await, test.user("b").await);
    let create = |user| test.post(user, ORGANIZATIONS, json!({"name": "A"}));
    // Concurrently: none passes while others are being counted.
    let answers = futures_util::future::join_all((0..10).map(|_| create(user))).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((created, rows(&test, "organizations").await), (3, 3));
    let refused = create(user).await.expect_error(403, "quota_reached");
    assert!(refused.text("message").contains("3 organizations"), "{}", refused.body);
    assert_eq!(test.count("socialize.organizations.created"), 3);
    create(other).await.expect(201);

    // Deleting one makes room for another.
    let list = test.get(user, ORGANIZATIONS).await.expect(200);
    let id = list.body["items"][0]["id"].as_str().expect("an id").to_owned();
    sqlx::query("delete from organizations where id = $1::uuid")
        .bind(id)
        .execute(test.pool())
        .await
        .expect("deleted");
    create(user).await.expect(201);
}

#[tokio::test]
async fn an_organization_has_so_many_workspaces_and_no_more() {
    let test = TestApp::start_with_settings(|settings| settings.quotas.workspaces_per_organization = 2).await;
    let (organization, owner) = test.organization().await;
    let path = format!("{ORGANIZATIONS}/{organization}/workspaces");
    let create = || {
        test.post(owner, &path, json!({"name": "A", "required_approvals": 1, "allow_self_approval": false}))
    };
    let answers = futures_util::future::join_all((0..6).map(|_| create())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
    create().await.expect_error(403, "quota_reached");
    assert_eq!(rows(&test, "workspaces").await, 2);
}

#[tokio::test]
async fn the_attachments_of_an_organization_take_so_much_and_no_more() {
    let test =
        TestApp::start_with_settings(|settings| settings.quotas.storage_per_organization = 10_000).await;
    let team = Team::join(test, 1).await;
    let items = [team.draft().await, team.draft().await];
    attach(&team, &items[0], file(PDF, 6_000)).await.expect(201);
    let refused = attach(&team, &items[1], file(PDF, 4_001)).await.expect_error(403, "quota_reached");
    assert!(refused.text("message").contains("attachments of the organization"), "{}", refused.body);
    attach(&team, &items[1], file(PDF, 4_000)).await.expect(201);
    // The quota is used up, so the body is not received.
    attach(&team, &items[1], file(PDF, 1_000)).await.expect_error(403, "quota_reached");
    assert_eq!(team.test.stored_files().len(), 2, "what was refused is not stored");
    assert_eq!(used(&team).await, 10_000);

    // Deleting makes room, with the item or one by one.
    let statement =
        "delete from content_items where id = (select content_item_id from attachments where size = 4000)";
    sqlx::query(statement).execute(team.test.pool()).await.expect("deleted");
    assert_eq!(used(&team).await, 6_000);
    sqlx::query("delete from organizations").execute(team.test.pool()).await.expect("deleted");
    assert_eq!(rows(&team.test, "organization_storage").await, 0);
}

async fn used(team: &Team) -> i64 {
    sqlx::query_scalar("select bytes from organization_storage")
        .fetch_one(team.test.pool())
        .await
        .expect("a row")
}

#[tokio::test]
async fn a_user_writes_so_often_and_no_more_in_all_processes_together() {
    let limit = Limit { count: NonZeroUsize::new(40).expect("40"), window: TimeDelta::minutes(1) };
    let test = TestApp::start_with_settings(|settings| settings.rate_limits.writes = limit).await;
    let user = test.user("a").await;
    let (here, there) = (test.app.clone(), test.another_process());
    let mut written = 0;
    for _ in 0..40 {
        for app in [&here, &there] {
            written += u32::from(app.rate_limits.count_write(user).await.is_ok());
        }
    }
    // The first portion, of two requests, is free in each process.
    assert_eq!(written, 40 + 2);
    let change = json!({"display_name": "B"});
    let refused =
        test.call(Some(user), Method::PATCH, "/v1/me", change).await.expect_error(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("60"));
    test.get(user, "/v1/me").await.expect(200);
    let other = test.user("b").await;
    test.post(other, ORGANIZATIONS, json!({"name": "A"})).await.expect(201);
}

#[tokio::test]
async fn a_user_reports_so_often_and_no_more() {
    let test = TestApp::start().await;
    let user = test.user("a").await;
    let report = || test.post(user, REPORTS, json!({"kind": "bug", "body": "It hums"}));
    for _ in 0..20 {
        report().await.expect(201);
    }
    report().await.expect_error(429, "rate_limited");
    assert_eq!(rows(&test, "feedback_reports").await, 20);
    assert_eq!(test.count("socialize.feedback_reports.submitted"), 20);
}
