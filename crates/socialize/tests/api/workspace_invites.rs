//! Invites into a workspace, and their acceptance.
//!
//! Long because each state of an invite is a test.

use chrono::TimeDelta;
use domain::ids::{InviteId, OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use socialize::platform::token::LinkPurpose;
use test_support::{Answer, TestApp};

const CREATED: &str = "socialize.workspace_invites.created";
const ACCEPT: &str = "/v1/invites/accept";

pub(crate) struct Team {
    pub(crate) test: TestApp,
    pub(crate) organization: OrganizationId,
    pub(crate) owner: UserId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) manager: UserId,
}

impl Team {
    pub(crate) async fn start() -> Self {
        let test = TestApp::start().await;
        let (organization, owner) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
        Self { test, organization, owner, workspace, manager }
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/workspaces/{}/invites", self.workspace)
    }

    pub(crate) async fn invite(&self, email: &str) -> Answer {
        self.test.post(self.manager, &self.path(), json!({"email": email, "role": "author"})).await
    }

    pub(crate) async fn invite_user(&self, user: UserId) -> InviteId {
        let invite = self.invite(&self.test.email_of(user).await).await.expect(201);
        invite.text("id").parse().expect("an id")
    }

    pub(crate) async fn accept(&self, user: UserId, invite: InviteId) -> Answer {
        let token = self.test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.uuid());
        self.test.post(user, ACCEPT, json!({"token": token.expose()})).await
    }

    pub(crate) async fn revoke(&self, user: UserId, invite: InviteId) -> Answer {
        let path = format!("{}/{invite}", self.path());
        self.test.call(Some(user), Method::DELETE, &path, Value::Null).await
    }

    pub(crate) async fn status(&self, invite: InviteId) -> String {
        sqlx::query_scalar("select status from workspace_invites where id = $1")
            .bind(invite)
            .fetch_one(self.test.pool())
            .await
            .expect("an invite")
    }

    /// The user's roles in the organization and the workspace.
    pub(crate) async fn roles(&self, user: UserId) -> (Option<String>, Option<String>) {
        sqlx::query_as(
            "select (select role from organization_members where organization_id = $1 and user_id = $3),
                 (select role from workspace_members where workspace_id = $2 and user_id = $3)",
        )
        .bind(self.organization)
        .bind(self.workspace)
        .bind(user)
        .fetch_one(self.test.pool())
        .await
        .expect("roles")
    }

    pub(crate) async fn emails(&self) -> Vec<Value> {
        sqlx::query_scalar("select payload from jobs where kind = 'send_email' order by created_at")
            .fetch_all(self.test.pool())
            .await
            .expect("jobs")
    }
}

#[tokio::test]
async fn an_invite_is_e_mailed_and_counted_once() {
    let team = Team::start().await;
    let invite = team.invite(" Ada@Example.COM ").await.expect(201);
    assert_eq!(invite.text("email"), "ada@example.com");
    assert_eq!(invite.text("role"), "author");
    assert_eq!(invite.text("status"), "pending");
    assert_eq!(invite.text("invited_by"), team.manager.to_string());
    assert_eq!(invite.text("expires_at"), "2026-11-30T09:00:00Z");
    assert_eq!(team.test.count(CREATED), 1);
    assert_eq!(team.emails().await, [json!({"template": "workspace_invite", "invite": invite.text("id")})]);

    let token =
        team.test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.text("id").parse().expect("a UUID"));
    assert!(!String::from_utf8_lossy(&invite.bytes).contains(token.expose()), "only the e-mail has the link");
    let lines = team.test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == CREATED).expect("a line of the fact");
    assert_eq!(fact["workspace_invite.id"], invite.body["id"]);
    assert_eq!(fact["workspace.id"], team.workspace.to_string());
    assert_eq!(fact["workspace.role"], "author");
    assert!(!format!("{lines:?}").to_lowercase().contains("ada@"), "addresses are never recorded");
}

#[tokio::test]
async fn a_refused_or_failed_invite_is_neither_e_mailed_nor_counted() {
    let team = Team::start().await;
    let author = team.test.workspace_member(team.organization, team.workspace, WorkspaceRole::Author).await;
    let (_, stranger) = team.test.organization().await;
    let good = json!({"email": "ada@example.com", "role": "author"});
    let test = &team.test;
    test.call(None, Method::POST, &team.path(), good.clone()).await.expect_error(401, "unauthenticated");
    test.post(author, &team.path(), good.clone()).await.expect_error(403, "forbidden");
    test.post(stranger, &team.path(), good.clone()).await.expect_error(404, "not_found");
    for bad in [
        json!({"email": "ada", "role": "author"}),
        json!({"email": "ada@example.com\u{0}", "role": "author"}),
        json!({"email": format!("{}@example.com", "a".repeat(250)), "role": "author"}),
        json!({"email": "ada@example.com", "role": "owner"}),
        json!({"email": "ada@example.com"}),
        json!({"role": "author"}),
    ] {
        test.post(team.manager, &team.path(), bad).await.expect_error(422, "invalid_field");
    }
    let member = test.email_of(author).await;
    team.invite(&member.to_uppercase()).await.expect_error(409, "already_exists");

    test.break_table("workspace_invites").await;
    test.post(team.manager, &team.path(), good).await.expect_error(500, "internal");
    assert_eq!(test.count(CREATED), 0);
    assert_eq!(team.emails().await, Vec::<Value>::new());
    let invites = test.get(team.manager, &team.path()).await.expect(200);
    assert_eq!(invites.body["items"], json!([]));
}

#[tokio::test]
async fn a_repeated_idempotency_key_sends_one_e_mail() {
    let team = Team::start().await;
    let body = json!({"email": "ada@example.com", "role": "reviewer"});
    let key = [("idempotency-key", "k1")];
    let send =
        || team.test.send(team.test.request(Some(team.manager), Method::POST, &team.path(), &body, &key));
    assert_eq!(send().await.expect(201).body, send().await.expect(201).body);
    assert_eq!((team.test.count(CREATED), team.emails().await.len()), (1, 1));
}

#[tokio::test]
async fn one_invite_at_a_time_is_pending() {
    let team = Team::start().await;
    let first: InviteId = team.invite("ada@example.com").await.expect(201).text("id").parse().expect("an id");
    team.invite("Ada@example.com").await.expect_error(409, "already_exists");
    team.revoke(team.manager, first).await.expect(204);
    let second: InviteId =
        team.invite("ada@example.com").await.expect(201).text("id").parse().expect("an id");
    // It has expired, but the job has not run.
    team.test.app.clock.advance(TimeDelta::days(7));
    team.invite("ada@example.com").await.expect(201);
    assert_eq!(team.status(first).await, "revoked");
    assert_eq!(team.status(second).await, "expired");
    assert_eq!(team.test.count(CREATED), 3);
}

#[tokio::test]
async fn a_workspace_cannot_flood_mailboxes() {
    let team = Team::start().await;
    sqlx::query(
        "insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
         select gen_random_uuid(), $1, n || '@example.com', 'author', 'pending', $2, $3, $3 + interval '7 days'
         from generate_series(1, 99) n",
    )
    .bind(team.workspace)
    .bind(team.manager)
    .bind(team.test.app.clock.now())
    .execute(team.test.pool())
    .await
    .expect("invites");
    team.test.app.clock.advance(TimeDelta::hours(1));
    team.invite("ada@example.com").await.expect(201);
    let refused = team.invite("bob@example.com").await.expect_error(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("82801"));
    assert_eq!(team.test.count(CREATED), 1);
    team.test.app.clock.advance(TimeDelta::hours(23));
    team.invite("bob@example.com").await.expect(201);
}

#[tokio::test]
async fn managers_list_invites_page_by_page_and_by_status() {
    let team = Team::start().await;
    let mut ids = Vec::new();
    for email in ["expired@example.com", "accepted@example.com", "revoked@example.com", "pending@example.com"]
    {
        ids.push(team.invite(email).await.expect(201).text("id"));
        team.test.app.clock.advance(TimeDelta::days(2));
    }
    let invite = |index: usize| -> InviteId { ids[index].parse().expect("an id") };
    team.revoke(team.manager, invite(2)).await.expect(204);
    let user = team.test.user("accepted").await;
    sqlx::query("update users set email = 'accepted@example.com' where id = $1")
        .bind(user)
        .execute(team.test.pool())
        .await
        .expect("an address");
    team.accept(user, invite(1)).await.expect(201);
    assert_eq!(team.status(invite(0)).await, "pending", "the job has not run");

    let names = |page: &Answer| -> Vec<String> {
        let items = page.body["items"].as_array().expect("items");
        items.iter().map(|item| item["status"].as_str().expect("a status").to_owned()).collect()
    };
    let first = team.test.get(team.manager, &format!("{}?limit=2", team.path())).await.expect(200);
    let second = format!("{}?limit=2&cursor={}", team.path(), first.text("next_cursor"));
    let second = team.test.get(team.manager, &second).await.expect(200);
    assert_eq!(names(&first), ["pending", "revoked"]);
    assert_eq!(names(&second), ["accepted", "expired"]);
    assert_eq!(second.body["items"][0]["accepted_by"], user.to_string());
    assert_eq!(second.body["next_cursor"], Value::Null);

    for (index, status) in ["expired", "accepted", "revoked", "pending"].into_iter().enumerate() {
        let page = team.test.get(team.owner, &format!("{}?status={status}", team.path())).await.expect(200);
        assert_eq!(page.body["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(page.body["items"][0]["id"], ids[index]);
    }
    team.test
        .get(team.owner, &format!("{}?status=lost", team.path()))
        .await
        .expect_error(400, "malformed_request");
    team.test
        .get(team.owner, &format!("{}?limit=x", team.path()))
        .await
        .expect_error(400, "malformed_request");
    let author = team.test.workspace_member(team.organization, team.workspace, WorkspaceRole::Author).await;
    team.test.get(author, &team.path()).await.expect_error(403, "forbidden");
    team.test.get(user, "/v1/workspaces/x/invites").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn managers_revoke_what_is_pending() {
    let team = Team::start().await;
    let user = team.test.user("ada").await;
    let invite = team.invite_user(user).await;
    let reviewer =
        team.test.workspace_member(team.organization, team.workspace, WorkspaceRole::Reviewer).await;
    let (_, stranger) = team.test.organization().await;
    team.revoke(reviewer, invite).await.expect_error(403, "forbidden");
    team.revoke(stranger, invite).await.expect_error(404, "not_found");
    team.revoke(team.manager, uuid::Uuid::now_v7().into()).await.expect_error(404, "not_found");
    // Another workspace does not know the invite.
    let another = team.test.workspace(team.organization, 1).await;
    let path = format!("/v1/workspaces/{another}/invites/{invite}");
    team.test.call(Some(team.owner), Method::DELETE, &path, Value::Null).await.expect_error(404, "not_found");
    assert_eq!(team.status(invite).await, "pending");

    team.revoke(team.manager, invite).await.expect(204);
    team.revoke(team.owner, invite).await.expect(204);
    team.accept(user, invite).await.expect_error(410, "link_expired");
    assert_eq!(team.status(invite).await, "revoked");

    let invite = team.invite_user(user).await;
    team.accept(user, invite).await.expect(201);
    team.revoke(team.manager, invite).await.expect_error(409, "conflict");
    assert_eq!(team.status(invite).await, "accepted");
}

#[tokio::test]
async fn a_failed_revocation_leaves_the_invite() {
    let team = Team::start().await;
    let invite = team.invite_user(team.test.user("ada").await).await;
    team.test.break_table("workspace_invites").await;
    team.revoke(team.manager, invite).await.expect_error(500, "internal");
    assert_eq!(team.status(invite).await, "pending");
}

#[tokio::test]
async fn accepting_makes_a_member_of_the_workspace_and_the_organization() {
    let team = Team::start().await;
    let user = team.test.user("ada").await;
    let invite = team.invite_user(user).await;
    team.test.app.clock.advance(TimeDelta::days(7) - TimeDelta::microseconds(1));
    let accepted = team.accept(user, invite).await.expect(201);
    assert_eq!(
        accepted.body,
        json!({"organization_id": team.organization, "workspace_id": team.workspace, "role": "author"}),
    );
    assert_eq!(team.roles(user).await, (Some("member".to_owned()), Some("author".to_owned())));
    assert_eq!(team.status(invite).await, "accepted");
    team.test.get(user, &format!("/v1/workspaces/{}", team.workspace)).await.expect(200);

    let lines = team.test.log_lines();
    let request = lines.iter().find(|line| line["http.route"] == ACCEPT).expect("a line of the request");
    assert_eq!(request["workspace.id"], team.workspace.to_string());
    assert_eq!(request["organization.id"], team.organization.to_string());
    assert_eq!(request["workspace_invite.id"], invite.to_string());
    let token = team.test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.uuid());
    assert!(!format!("{lines:?}").contains(token.expose()), "tokens are never recorded");

    team.accept(user, invite).await.expect_error(410, "link_expired");
    team.accept(team.test.user("bob").await, invite).await.expect_error(403, "forbidden");
}

#[tokio::test]
async fn accepting_lowers_nobody() {
    let team = Team::start().await;
    let admin = team.test.user("admin").await;
    team.test.join_organization(team.organization, admin, OrganizationRole::Admin).await;
    let invite = team.invite_user(admin).await;
    team.accept(admin, invite).await.expect(201);
    assert_eq!(team.roles(admin).await, (Some("admin".to_owned()), Some("author".to_owned())));

    // Both invites were pending when the user joined in another way.
    let user = team.test.user("ada").await;
    let invite = team.invite_user(user).await;
    team.test.join_organization(team.organization, user, OrganizationRole::Member).await;
    sqlx::query(
        "insert into workspace_members (workspace_id, organization_id, user_id, role, created_at)
         values ($1, $2, $3, 'manager', now())",
    )
    .bind(team.workspace)
    .bind(team.organization)
    .bind(user)
    .execute(team.test.pool())
    .await
    .expect("a member");
    assert_eq!(team.accept(user, invite).await.expect(201).text("role"), "manager");
    assert_eq!(team.roles(user).await.1.as_deref(), Some("manager"));
}

#[tokio::test]
async fn only_the_invited_can_accept_and_only_in_time() {
    let team = Team::start().await;
    let (user, other) = (team.test.user("ada").await, team.test.user("bob").await);
    let invite = team.invite_user(user).await;

    let token = |purpose, id| json!({"token": team.test.app.tokens.link(purpose, id).expose()});
    let good = token(LinkPurpose::WorkspaceInvite, invite.uuid());
    team.test.call(None, Method::POST, ACCEPT, good).await.expect_error(401, "unauthenticated");
    let refused = team.accept(other, invite).await.expect_error(403, "forbidden");
    let address = team.test.email_of(user).await;
    assert!(!String::from_utf8_lossy(&refused.bytes).contains(&address), "the address is not revealed");
    let unknown = uuid::Uuid::now_v7();
    for unknown in [
        token(LinkPurpose::WorkspaceInvite, unknown),
        token(LinkPurpose::VerifyEmail, invite.uuid()),
        json!({"token": ""}),
        json!({"token": "\u{0}"}),
        json!({"token": invite}),
    ] {
        team.test.post(user, ACCEPT, unknown).await.expect_error(404, "not_found");
    }
    for bad in [json!({}), json!({"token": 1}), json!({"token": "x", "email": "x"}), json!("x")] {
        team.test.post(user, ACCEPT, bad).await.expect_error(422, "invalid_field");
    }

    sqlx::query("update users set email_verified_at = null where id = $1")
        .bind(user)
        .execute(team.test.pool())
        .await
        .expect("unverified");
    team.accept(user, invite).await.expect_error(403, "email_not_verified");
    sqlx::query("update users set email_verified_at = now() where id = $1")
        .bind(user)
        .execute(team.test.pool())
        .await
        .expect("verified");

    team.test.app.clock.advance(TimeDelta::days(7));
    team.accept(user, invite).await.expect_error(410, "link_expired");
    // Other users do not learn the state of the invite.
    team.accept(other, invite).await.expect_error(403, "forbidden");
    for user in [user, other] {
        assert_eq!(team.roles(user).await, (None, None));
    }
}

#[tokio::test]
async fn a_failed_acceptance_leaves_nothing_behind() {
    let team = Team::start().await;
    let user = team.test.user("ada").await;
    let invite = team.invite_user(user).await;
    team.test.break_table("workspace_members").await;
    team.accept(user, invite).await.expect_error(500, "internal");
    assert_eq!(team.roles(user).await, (None, None));
    assert_eq!(team.status(invite).await, "pending");
}

#[tokio::test]
async fn a_repeated_idempotency_key_accepts_once() {
    let team = Team::start().await;
    let user = team.test.user("ada").await;
    let invite = team.invite_user(user).await;
    let token = team.test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.uuid());
    let body = json!({"token": token.expose()});
    let key = [("idempotency-key", "k1")];
    let send = || team.test.send(team.test.request(Some(user), Method::POST, ACCEPT, &body, &key));
    assert_eq!(send().await.expect(201).body, send().await.expect(201).body);
}

#[tokio::test]
async fn of_two_acceptances_at_once_one_succeeds() {
    let team = Team::start().await;
    let user = team.test.user("ada").await;
    let invite = team.invite_user(user).await;
    let mut transaction = team.test.pool().begin().await.expect("a transaction");
    sqlx::query("select from workspace_invites for update").execute(&mut *transaction).await.expect("locked");
    let release = async {
        team.test.wait_until_blocked(2).await;
        transaction.commit().await.expect("committed");
    };
    let (first, second, ()) = tokio::join!(team.accept(user, invite), team.accept(user, invite), release);
    let mut answers = [first, second];
    answers.sort_by_key(|answer| answer.status);
    let [accepted, refused] = answers;
    accepted.expect(201);
    refused.expect_error(410, "link_expired");
    assert_eq!(team.roles(user).await, (Some("member".to_owned()), Some("author".to_owned())));
}

#[tokio::test]
async fn of_two_invites_at_once_one_is_created() {
    let team = Team::start().await;
    let mut transaction = team.test.pool().begin().await.expect("a transaction");
    // Locks the workspace, so the first insert waits for its foreign key, and the second insert waits for the
    // first's unique key.
    sqlx::query("select from workspaces for update").execute(&mut *transaction).await.expect("locked");
    let release = async {
        team.test.wait_until_blocked(2).await;
        transaction.commit().await.expect("committed");
    };
    let (first, second, ()) =
        tokio::join!(team.invite("ada@example.com"), team.invite("ada@example.com"), release);
    let mut answers = [first, second];
    answers.sort_by_key(|answer| answer.status);
    let [created, refused] = answers;
    created.expect(201);
    refused.expect_error(409, "already_exists");
    assert_eq!((team.test.count(CREATED), team.emails().await.len()), (1, 1));
}

#[tokio::test]
async fn whoever_is_removed_while_accepting_is_out() {
    let team = Team::start().await;
    let user = team.test.user("ada").await;
    team.test.join_organization(team.organization, user, OrganizationRole::Member).await;
    let invite = team.invite_user(user).await;
    let mut transaction = team.test.pool().begin().await.expect("a transaction");
    sqlx::query("select from workspace_invites for update").execute(&mut *transaction).await.expect("locked");
    let path = format!("/v1/organizations/{}/members/{user}", team.organization);
    let remove = async {
        team.test.wait_until_blocked(1).await;
        team.test.call(Some(team.owner), Method::DELETE, &path, Value::Null).await
    };
    let release = async {
        team.test.wait_until_blocked(2).await;
        transaction.commit().await.expect("committed");
    };
    let (accepted, removed, ()) = tokio::join!(team.accept(user, invite), remove, release);
    accepted.expect(201);
    removed.expect(204);
    assert_eq!(team.roles(user).await, (None, None));
}
