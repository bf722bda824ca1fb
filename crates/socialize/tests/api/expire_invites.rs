//! Expiry of invites.

use chrono::TimeDelta;
use domain::vocabulary::WorkspaceRole;
use serde_json::json;
use socialize::features::workspaces::expire_invites;
use test_support::TestApp;

#[tokio::test]
async fn invites_end_when_their_time_is_over() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
    let path = format!("/v1/workspaces/{workspace}/invites");
    test.post(manager, &path, json!({"email": "first@example.com", "role": "author"})).await.expect(201);
    test.app.clock.advance(TimeDelta::microseconds(1));
    test.post(manager, &path, json!({"email": "second@example.com", "role": "author"})).await.expect(201);
    assert_eq!(expire_invites::run(&test.app).await, Ok(0));

    test.app.clock.advance(TimeDelta::days(7) - TimeDelta::microseconds(1));
    assert_eq!(expire_invites::run(&test.app).await, Ok(1));
    assert_eq!(expire_invites::run(&test.app).await, Ok(0));
    let statuses: Vec<(String, String)> =
        sqlx::query_as("select email, status from workspace_invites order by email")
            .fetch_all(test.pool())
            .await
            .expect("invites");
    let expected = [("first@example.com", "expired"), ("second@example.com", "pending")];
    assert_eq!(statuses, expected.map(|(email, status)| (email.to_owned(), status.to_owned())));
}

#[tokio::test]
async fn more_invites_than_fit_into_a_batch_end_in_one_run_except_those_in_use() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    sqlx::query(
        "insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
         select gen_random_uuid(), $1, n || '@example.com', 'author', 'pending', $2, $3, $3 + interval '7 days'
         from generate_series(1, 1203) n",
    )
    .bind(workspace)
    .bind(owner)
    .bind(test.app.clock.now())
    .execute(test.pool())
    .await
    .expect("invites");
    test.app.clock.advance(TimeDelta::days(8));
    let mut transaction = test.pool().begin().await.expect("a transaction");
    sqlx::query("select from workspace_invites where email = '1@example.com' for update")
        .execute(&mut *transaction)
        .await
        .expect("locked");
    assert_eq!(expire_invites::run(&test.app).await, Ok(1202));
    transaction.commit().await.expect("committed");
    assert_eq!(expire_invites::run(&test.app).await, Ok(1));
}

#[tokio::test]
async fn a_failure_ends_nothing() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let path = format!("/v1/workspaces/{workspace}/invites");
    test.post(owner, &path, json!({"email": "first@example.com", "role": "author"})).await.expect(201);
    test.app.clock.advance(TimeDelta::days(8));
    test.break_table("workspace_invites").await;
    assert!(expire_invites::run(&test.app).await.is_err());
    let pending: i64 = sqlx::query_scalar("select count(*) from workspace_invites where status = 'pending'")
        .fetch_one(test.pool())
        .await
        .expect("a count");
    assert_eq!(pending, 1);
}
