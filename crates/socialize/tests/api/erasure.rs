//! The statements by which docs/PRIVACY.md erases a user.

use std::fs;
use std::path::Path;

use domain::vocabulary::WorkspaceRole;
use serde_json::json;
use test_support::TestApp;

/// Every row of a table that names people.
async fn rows(test: &TestApp) -> String {
    let tables = ["users", "sessions", "email_tokens", "idempotency_keys", "workspace_invites", "jobs"];
    let mut all = String::new();
    for table in tables {
        let query = sqlx::AssertSqlSafe(format!("select coalesce(json_agg(t), '[]')::text from {table} t"));
        let rows: String = sqlx::query_scalar(query).fetch_one(test.pool()).await.expect("rows");
        all.push_str(&rows);
    }
    all
}

#[tokio::test]
async fn what_the_document_says_erases_a_user() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/PRIVACY.md");
    let document = fs::read_to_string(document).expect("the document");
    let statements = document.split_once("    begin;\n").expect("a transaction").1;
    let statements = statements.split_once("    commit;\n").expect("its end").0;

    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let user = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let email = test.email_of(user).await;
    test.call(Some(user), http::Method::PATCH, "/v1/me", json!({"display_name": "Grace Hopper"}))
        .await
        .expect(200);
    let (_, stranger) = test.organization().await;
    let (other, _) = test.organization().await;
    let other_workspace = test.workspace(other, 1).await;
    for workspace in [workspace, other_workspace] {
        sqlx::query("insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
                     values (gen_random_uuid(), $1, $2, 'author', 'pending', $3, now(), now() + interval '1 day')")
            .bind(workspace)
            .bind(&email)
            .bind(owner)
            .execute(test.pool())
            .await
            .expect("an invite");
    }
    let before = rows(&test).await;
    assert!(before.contains(&email) && before.contains("Grace Hopper"), "{before}");

    let statements = statements.replace("USER_ID", &user.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("begin;{statements}commit;")))
        .execute(test.pool())
        .await
        .expect("the statements of the document");
    let after = rows(&test).await;
    assert!(!after.contains(&email) && !after.contains("Grace Hopper"), "{after}");
    assert!(after.contains(&test.email_of(stranger).await), "somebody else was erased");
    let login = json!({"email": email, "password": "whatever it was"});
    test.call(None, http::Method::POST, "/v1/auth/login", login)
        .await
        .expect_error(401, "invalid_credentials");
}
