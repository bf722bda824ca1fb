//! Costs of requests about accounts: database operations (acquiring a connection, begin and commit count as
//! one each, as in log lines of requests) and password hashes. `docs/SECURITY.md` states the numbers.

use serde_json::json;
use test_support::TestApp;

use super::*;

#[tokio::test]
async fn no_check_of_an_account_costs_a_round_trip_of_its_own() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    verified(&test, "ada@example.com").await;
    let of = |route: &str| {
        let operations = database_operations(&test, route);
        *operations.last().unwrap_or_else(|| panic!("no request on {route}"))
    };
    test.log_lines();

    let hashes = test.app.passwords.computed();
    let first = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    assert_eq!((of("/v1/auth/login"), test.app.passwords.computed() - hashes), (6, 1), "a log-in");
    log_in(&test, "ada@example.com", WRONG).await.expect(401);
    assert_eq!((of("/v1/auth/login"), test.app.passwords.computed() - hashes), (2, 2), "a failed log-in");

    register(&test, "new@example.com").await.expect(202);
    assert_eq!((of("/v1/auth/register"), test.app.passwords.computed() - hashes), (6, 3), "a registration");
    post(&test, "request-password-reset", json!({"email": "ada@example.com"})).await.expect(202);
    assert_eq!(of("/v1/auth/request-password-reset"), 6, "asking for a link");

    refresh(&test, &first).await.expect(200);
    assert_eq!(of("/v1/auth/refresh"), 5, "a refresh");
    refresh(&test, &first).await.expect(200);
    assert_eq!(of("/v1/auth/refresh"), 4, "a repeated refresh");

    test.get(owner, "/v1/me").await.expect(200);
    assert_eq!(of("/v1/me"), 2);
    test.get(owner, &format!("/v1/workspaces/{workspace}")).await.expect(200);
    assert_eq!(of("/v1/workspaces/{workspace_id}"), 4);
    test.get(owner, "/v1/organizations").await.expect(200);
    assert_eq!(of("/v1/organizations"), 2);
    test.post(owner, "/v1/organizations", json!({"name": "Another"})).await.expect(201);
    assert_eq!(of("/v1/organizations"), 5, "with the row of the audit");
}
