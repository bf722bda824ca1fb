//! Members of a workspace and their roles.

use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestApp};

struct Team {
    test: TestApp,
    organization: OrganizationId,
    owner: UserId,
    workspace: WorkspaceId,
    manager: UserId,
    author: UserId,
    reviewer: UserId,
    /// Member of the organization but not of the workspace.
    colleague: UserId,
    /// Member of another organization.
    stranger: UserId,
}

impl Team {
    async fn start() -> Self {
        let test = TestApp::start().await;
        let (organization, owner) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
        let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
        let reviewer = test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;
        let colleague = test.user("colleague").await;
        test.join_organization(organization, colleague, OrganizationRole::Member).await;
        let (_, stranger) = test.organization().await;
        Self { test, organization, owner, workspace, manager, author, reviewer, colleague, stranger }
    }

    fn path(&self) -> String {
        format!("/v1/workspaces/{}/members", self.workspace)
    }

    async fn add(&self, caller: UserId, user: UserId, role: &str) -> Answer {
        self.test.post(caller, &self.path(), json!({"user_id": user, "role": role})).await
    }

    async fn make(&self, caller: UserId, user: UserId, role: &str) -> Answer {
        let path = format!("{}/{user}", self.path());
        self.test.call(Some(caller), Method::PATCH, &path, json!({"role": role})).await
    }

    async fn remove(&self, caller: UserId, user: UserId) -> Answer {
        self.test.call(Some(caller), Method::DELETE, &format!("{}/{user}", self.path()), Value::Null).await
    }

    async fn role(&self, user: UserId) -> Option<String> {
        sqlx::query_scalar("select role from workspace_members where workspace_id = $1 and user_id = $2")
            .bind(self.workspace)
            .bind(user)
            .fetch_optional(self.test.pool())
            .await
            .expect("a result")
    }
}

#[tokio::test]
async fn members_see_each_other_page_by_page() {
    let team = Team::start().await;
    let first = team.test.get(team.reviewer, &format!("{}?limit=2", team.path())).await.expect(200);
    let cursor = first.text("next_cursor");
    let second = format!("{}?limit=2&cursor={cursor}", team.path());
    let second = team.test.get(team.reviewer, &second).await.expect(200);
    let items = [first.body["items"].as_array(), second.body["items"].as_array()].map(|i| i.expect("items"));
    let mut listed: Vec<_> = items.into_iter().flatten().map(|item| item["user_id"].to_string()).collect();
    let mut expected = [team.manager, team.author, team.reviewer].map(|user| format!("\"{user}\""));
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(second.body["next_cursor"], Value::Null);

    team.test.get(team.owner, &team.path()).await.expect(200);
    for user in [team.colleague, team.stranger] {
        team.test.get(user, &team.path()).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn managers_add_members_of_the_organization() {
    let team = Team::start().await;
    let added = team.add(team.manager, team.colleague, "reviewer").await.expect(201);
    assert_eq!(added.text("user_id"), team.colleague.to_string());
    assert_eq!(added.text("role"), "reviewer");
    assert_eq!(added.text("display_name"), "colleague");
    assert_eq!(added.body["email"], Value::Null, "addresses are for owners and admins");
    team.test.get(team.colleague, &team.path()).await.expect(200);

    team.add(team.manager, team.colleague, "author").await.expect_error(409, "already_exists");
    assert_eq!(team.role(team.colleague).await.as_deref(), Some("reviewer"));
    team.add(team.owner, team.owner, "author").await.expect(201);
}

#[tokio::test]
async fn others_add_nobody_and_nobody_from_elsewhere_is_added() {
    let team = Team::start().await;
    for user in [team.author, team.reviewer] {
        team.add(user, team.colleague, "author").await.expect_error(403, "forbidden");
    }
    for user in [team.colleague, team.stranger] {
        team.add(user, user, "manager").await.expect_error(404, "not_found");
    }
    // A foreign user and an unknown one get the same response.
    let known = team.add(team.manager, team.stranger, "author").await.expect_error(422, "invalid_field");
    let unknown = uuid::Uuid::now_v7().into();
    let unknown = team.add(team.manager, unknown, "author").await.expect_error(422, "invalid_field");
    assert_eq!(known.body["message"], unknown.body["message"]);
    let body = json!({"user_id": "me", "role": "author"});
    team.test.post(team.manager, &team.path(), body).await.expect_error(422, "invalid_field");

    team.test.break_table("workspace_members").await;
    team.add(team.manager, team.colleague, "author").await.expect_error(500, "internal");
    for user in [team.colleague, team.stranger] {
        assert_eq!(team.role(user).await, None);
    }
}

#[tokio::test]
async fn a_repeated_idempotency_key_gets_the_first_answer() {
    let team = Team::start().await;
    let body = json!({"user_id": team.colleague, "role": "author"});
    let key = [("idempotency-key", "k1")];
    let send =
        || team.test.send(team.test.request(Some(team.manager), Method::POST, &team.path(), &body, &key));
    assert_eq!(send().await.expect(201).body, send().await.expect(201).body);
}

#[tokio::test]
async fn adding_a_member_revokes_their_pending_invite() {
    let team = Team::start().await;
    let invites = format!("/v1/workspaces/{}/invites", team.workspace);
    let invite = json!({"email": team.test.email_of(team.colleague).await, "role": "author"});
    team.test.post(team.manager, &invites, invite).await.expect(201);
    // A rejected addition revokes nothing.
    team.add(team.manager, team.stranger, "author").await.expect_error(422, "invalid_field");
    assert_eq!(team.test.get(team.manager, &invites).await.body["items"][0]["status"], "pending");
    team.add(team.manager, team.colleague, "author").await.expect(201);
    assert_eq!(team.test.get(team.manager, &invites).await.body["items"][0]["status"], "revoked");
}

#[tokio::test]
async fn managers_change_roles() {
    let team = Team::start().await;
    let changed = team.make(team.manager, team.author, "reviewer").await.expect(200);
    assert_eq!(changed.text("role"), "reviewer");
    team.make(team.owner, team.reviewer, "manager").await.expect(200);
    team.make(team.reviewer, team.manager, "author").await.expect(200);
    team.make(team.manager, team.manager, "manager").await.expect_error(403, "forbidden");

    team.make(team.author, team.author, "manager").await.expect_error(403, "forbidden");
    for user in [team.colleague, team.stranger] {
        team.make(user, team.author, "author").await.expect_error(404, "not_found");
        team.make(team.owner, user, "author").await.expect_error(404, "not_found");
    }
    team.make(team.owner, team.author, "owner").await.expect_error(422, "invalid_field");
    team.test.break_table("workspace_members").await;
    team.make(team.owner, team.author, "manager").await.expect_error(500, "internal");
    assert_eq!(team.role(team.author).await.as_deref(), Some("reviewer"));
}

#[tokio::test]
async fn managers_remove_members_and_anybody_may_leave() {
    let team = Team::start().await;
    team.remove(team.author, team.reviewer).await.expect_error(403, "forbidden");
    for user in [team.colleague, team.stranger] {
        team.remove(user, team.author).await.expect_error(404, "not_found");
        team.remove(team.manager, user).await.expect_error(404, "not_found");
    }
    team.remove(team.manager, team.author).await.expect(204);
    team.remove(team.reviewer, team.reviewer).await.expect(204);
    // The owner still manages it, so the last manager may leave.
    team.remove(team.manager, team.manager).await.expect(204);
    for user in [team.manager, team.author, team.reviewer] {
        team.test.get(user, &team.path()).await.expect_error(404, "not_found");
        team.test.get(user, &format!("/v1/organizations/{}", team.organization)).await.expect(200);
    }
    let left = team.test.get(team.owner, &team.path()).await.expect(200);
    assert_eq!(left.body["items"], json!([]));
}

#[tokio::test]
async fn addresses_are_for_owners_and_admins_of_the_organization() {
    let team = Team::start().await;
    let address = team.test.email_of(team.author).await;
    // Addresses that a caller sees, other than their own.
    let seen = async |caller: UserId| {
        let list = team.test.get(caller, &team.path()).await.expect(200);
        let items = list.body["items"].as_array().expect("items").clone();
        assert!(items.iter().all(|item| item["display_name"].is_string()), "{items:?}");
        let own = team.test.email_of(caller).await;
        items.iter().filter_map(|item| item["email"].as_str()).filter(|email| *email != own).count()
    };
    for caller in [team.manager, team.author, team.reviewer] {
        assert_eq!(seen(caller).await, 0);
    }
    assert_eq!(seen(team.owner).await, 3);
    let admin = team.test.user("admin").await;
    team.test.join_organization(team.organization, admin, OrganizationRole::Admin).await;
    assert_eq!(seen(admin).await, 3);

    let own = team.test.get(team.author, &team.path()).await.expect(200);
    assert!(String::from_utf8_lossy(&own.bytes).contains(&address), "one's own address is no secret");
    let changed = team.make(team.manager, team.author, "reviewer").await.expect(200);
    assert_eq!(changed.body["email"], Value::Null);
    let changed = team.make(team.owner, team.author, "author").await.expect(200);
    assert_eq!(changed.text("email"), address);
    let added = team.add(admin, team.colleague, "author").await.expect(201);
    assert_eq!(added.text("email"), team.test.email_of(team.colleague).await);
}
