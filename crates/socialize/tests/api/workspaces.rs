//! Workspaces: create, list, read, change.

use chrono::TimeDelta;
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use test_support::TestApp;

const CREATED: &str = "socialize.workspaces.created";

async fn rows(test: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from workspaces").fetch_one(test.pool()).await.expect("a count")
}

#[tokio::test]
async fn creating_makes_the_caller_its_manager_and_is_counted_once() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let path = format!("/v1/organizations/{organization}/workspaces");
    let created =
        test.post(owner, &path, json!({"name": "Analytical", "required_approvals": 2})).await.expect(201);
    assert_eq!(created.body["role"], "manager");
    assert_eq!(created.body["required_approvals"], 2);
    assert_eq!(created.body["allow_self_approval"], false);
    assert_eq!(created.body["organization_id"], organization.to_string());
    assert_eq!(test.count(CREATED), 1);

    let lines = test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == CREATED).expect("a line of the fact");
    assert_eq!(fact["workspace.id"], created.body["id"]);
    assert_eq!(fact["organization.id"], organization.to_string());
    assert_eq!(fact["user.id"], owner.to_string());
    assert!(!format!("{lines:?}").contains("Analytical"), "names are never recorded");

    let workspace = format!("/v1/workspaces/{}", created.text("id"));
    assert_eq!(test.get(owner, &workspace).await.expect(200).body, created.body);
    let members = test.get(owner, &format!("{workspace}/members")).await.expect(200);
    assert_eq!(members.body["items"][0]["user_id"], owner.to_string());
    assert_eq!(members.body["items"][0]["role"], "manager");
}

#[tokio::test]
async fn a_refused_or_failed_creation_is_not_counted() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let (member, stranger) = (test.user("member").await, test.user("stranger").await);
    test.join_organization(organization, member, OrganizationRole::Member).await;
    let path = format!("/v1/organizations/{organization}/workspaces");
    let good = json!({"name": "A", "required_approvals": 1});
    test.call(None, Method::POST, &path, good.clone()).await.expect_error(401, "unauthenticated");
    test.post(member, &path, good.clone()).await.expect_error(403, "forbidden");
    test.post(stranger, &path, good.clone()).await.expect_error(404, "not_found");
    for bad in [
        json!({"name": "A", "required_approvals": 0}),
        json!({"name": "A", "required_approvals": 6}),
        json!({"name": "A", "required_approvals": 1.5}),
        json!({"name": "A", "required_approvals": "1"}),
        json!({"name": "A"}),
        json!({"name": "", "required_approvals": 1}),
        json!({"name": "x".repeat(101), "required_approvals": 1}),
        json!({"name": "A", "required_approvals": 1, "allow_self_approval": null}),
        json!({"name": "A", "required_approvals": 1, "organization_id": organization}),
    ] {
        test.post(owner, &path, bad).await.expect_error(422, "invalid_field");
    }
    test.break_table("workspaces").await;
    test.post(owner, &path, good).await.expect_error(500, "internal");
    assert_eq!((test.count(CREATED), rows(&test).await), (0, 0));
}

#[tokio::test]
async fn a_repeated_idempotency_key_gets_the_first_answer() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let path = format!("/v1/organizations/{organization}/workspaces");
    let body = json!({"name": "A", "required_approvals": 1, "allow_self_approval": true});
    let send =
        || test.send(test.request(Some(owner), Method::POST, &path, &body, &[("idempotency-key", "k1")]));
    let (first, second) = (send().await.expect(201), send().await.expect(201));
    assert_eq!(first.body, second.body);
    assert_eq!((test.count(CREATED), rows(&test).await), (1, 1));
}

#[tokio::test]
async fn members_see_theirs_and_admins_all_page_by_page() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let mut workspaces = Vec::new();
    for _ in 0..3 {
        test.app.clock.advance(TimeDelta::seconds(1));
        workspaces.push(test.workspace(organization, 1).await.to_string());
    }
    let second = workspaces[1].parse().expect("an id");
    let author = test.workspace_member(organization, second, WorkspaceRole::Author).await;
    let admin = test.user("admin").await;
    test.join_organization(organization, admin, OrganizationRole::Admin).await;
    let (elsewhere, _) = test.organization().await;
    test.workspace(elsewhere, 1).await;

    let path = format!("/v1/organizations/{organization}/workspaces");
    for caller in [owner, admin] {
        let first = test.get(caller, &format!("{path}?limit=2")).await.expect(200);
        let cursor = first.text("next_cursor");
        let second = test.get(caller, &format!("{path}?limit=2&cursor={cursor}")).await.expect(200);
        let items = [first.body["items"].as_array(), second.body["items"].as_array()];
        let listed: Vec<_> = items
            .into_iter()
            .flat_map(|items| items.expect("items"))
            .map(|item| (item["id"].as_str().expect("an id"), item["role"].as_str().expect("a role")))
            .collect();
        let newest_first: Vec<_> = workspaces.iter().rev().map(|id| (id.as_str(), "manager")).collect();
        assert_eq!(listed, newest_first);
        assert_eq!(second.body["next_cursor"], Value::Null);
    }
    let own = test.get(author, &path).await.expect(200);
    assert_eq!(own.body["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(own.body["items"][0]["id"], workspaces[1]);
    assert_eq!(own.body["items"][0]["role"], "author");
    let stranger = test.user("stranger").await;
    test.get(stranger, &path).await.expect_error(404, "not_found");
    test.get(owner, &format!("{path}?cursor=%00")).await.expect_error(400, "malformed_request");
}

#[tokio::test]
async fn it_is_read_by_its_members_and_changed_by_managers() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
    let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let reviewer = test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;
    let another = test.workspace(organization, 1).await;
    let neighbour = test.workspace_member(organization, another, WorkspaceRole::Manager).await;
    let (_, stranger) = test.organization().await;

    let path = format!("/v1/workspaces/{workspace}");
    for (user, role) in [(owner, "manager"), (manager, "manager"), (author, "author"), (reviewer, "reviewer")]
    {
        assert_eq!(test.get(user, &path).await.expect(200).text("role"), role);
    }
    let change = |user, body| test.call(Some(user), Method::PATCH, &path, body);
    for user in [neighbour, stranger] {
        test.get(user, &path).await.expect_error(404, "not_found");
        change(user, json!({"name": "Mine"})).await.expect_error(404, "not_found");
    }
    for user in [author, reviewer] {
        change(user, json!({"name": "Mine"})).await.expect_error(403, "forbidden");
    }
    change(manager, json!({"required_approvals": 6})).await.expect_error(422, "invalid_field");

    let changed = change(manager, json!({"required_approvals": 3})).await.expect(200);
    assert_eq!(changed.body["required_approvals"], 3);
    assert_eq!(changed.body["name"], "Workspace");
    let changed = change(owner, json!({"name": "Brand", "allow_self_approval": true})).await.expect(200);
    assert_eq!(changed.body["name"], "Brand");
    assert_eq!(changed.body["allow_self_approval"], true);
    assert_eq!(changed.body["required_approvals"], 3);
    assert_eq!(test.get(owner, &path).await.expect(200).body, changed.body);

    test.break_table("workspaces").await;
    change(manager, json!({"name": "Other"})).await.expect_error(500, "internal");
    assert_eq!(test.get(owner, &path).await.expect(200).body, changed.body);
}
