//! Noting which workspaces are in use.

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::WorkspaceId;
use socialize::activity::touch_workspace;
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
    // Were it to wait for the first, which has not ended yet, the test would never end.
    touch(&test, workspace).await;
    test.app.database.commit(first).await.expect("committed");
    assert_eq!(last_active_at(&test, workspace).await, touched_at);
}
