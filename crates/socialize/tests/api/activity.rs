//! Last activity of workspaces.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{InviteId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use socialize::features::workspaces::activity::touch_workspace;
use socialize::platform::token::LinkPurpose;
use test_support::TestApp;

async fn touch(test: &TestApp, workspace: WorkspaceId) {
    let mut transaction = test.app.database.begin().await.expect("a transaction");
    touch_workspace(&test.app, &mut transaction, workspace).await.expect("touched");
    test.app.database.commit(transaction).await.expect("committed");
}

async fn last_active_at(test: &TestApp, workspace: WorkspaceId) -> DateTime<Utc> {
    sqlx::query_scalar("select last_active_at from workspaces where id = $1")
        .bind(workspace)
        .fetch_one(test.pool())
        .await
        .expect("a workspace")
}

#[tokio::test]
async fn a_workspace_is_touched_at_most_every_five_minutes() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    let (workspace, other) = (test.workspace(organization, 1).await, test.workspace(organization, 1).await);
    let created_at = test.app.clock.now();

    test.app.clock.advance(TimeDelta::minutes(5) - TimeDelta::microseconds(1));
    touch(&test, workspace).await;
    assert_eq!(last_active_at(&test, workspace).await, created_at);

    test.app.clock.advance(TimeDelta::microseconds(1));
    touch(&test, workspace).await;
    assert_eq!(last_active_at(&test, workspace).await, test.app.clock.now());
    assert_eq!(last_active_at(&test, other).await, created_at);
}

#[tokio::test]
async fn a_touch_does_not_wait_for_another() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    test.app.clock.advance(TimeDelta::hours(1));

    let mut first = test.app.database.begin().await.expect("a transaction");
    touch_workspace(&test.app, &mut first, workspace).await.expect("touched");
    let touched_at = test.app.clock.now();
    test.app.clock.advance(TimeDelta::hours(1));
    // If this waited for the first transaction, which has not ended, the test would hang.
    touch(&test, workspace).await;
    test.app.database.commit(first).await.expect("committed");
    assert_eq!(last_active_at(&test, workspace).await, touched_at);
}

#[tokio::test]
async fn every_change_by_a_member_shows_that_the_workspace_is_in_use() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let (colleague, invited) = (test.user("colleague").await, test.user("invited").await);
    test.join_organization(organization, colleague, OrganizationRole::Member).await;
    let address = test.email_of(invited).await;
    let path = |rest: &str| format!("/v1/workspaces/{workspace}{rest}");
    let acting = async |caller, method, path: &str, body| {
        test.app.clock.advance(TimeDelta::minutes(5));
        let answer = test.call(Some(caller), method, path, body).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        assert_eq!(last_active_at(&test, workspace).await, test.app.clock.now(), "{path}");
        answer
    };

    acting(owner, Method::PATCH, &path(""), json!({"name": "Brand"})).await;
    let member = json!({"user_id": colleague, "role": "author"});
    acting(owner, Method::POST, &path("/members"), member).await;
    let role = json!({"role": "reviewer"});
    acting(owner, Method::PATCH, &path(&format!("/members/{colleague}")), role).await;
    acting(owner, Method::DELETE, &path(&format!("/members/{colleague}")), Value::Null).await;
    acting(author, Method::DELETE, &path(&format!("/members/{author}")), Value::Null).await;
    let invite = json!({"email": address, "role": "author"});
    let revoked = acting(owner, Method::POST, &path("/invites"), invite.clone()).await.text("id");
    acting(owner, Method::DELETE, &path(&format!("/invites/{revoked}")), Value::Null).await;
    let accepted: InviteId =
        acting(owner, Method::POST, &path("/invites"), invite).await.text("id").parse().expect("an id");
    let token = test.app.tokens.link(LinkPurpose::WorkspaceInvite, accepted.uuid());
    acting(invited, Method::POST, "/v1/invites/accept", json!({"token": token.expose()})).await;

    test.app.clock.advance(TimeDelta::minutes(5));
    for read in ["", "/members", "/invites"] {
        test.get(owner, &path(read)).await.expect(200);
        assert!(last_active_at(&test, workspace).await < test.app.clock.now(), "reading is no change");
    }
}
