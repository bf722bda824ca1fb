//! Invites whose inviter has lost the right to invite.

use domain::ids::{InviteId, UserId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use test_support::TestApp;

use crate::workspace_invites::Team;

/// Ways to lose the right to invite.
#[derive(Clone, Copy, Debug)]
enum Loss {
    RemovedFromOrganization,
    LeftOrganization,
    RemovedFromWorkspace,
    LeftWorkspace,
    BecameAuthor,
    BecameReviewer,
    /// Deletes the membership without revoking invites.
    Deleted,
}

impl Team {
    async fn invite_as(&self, inviter: UserId, email: &str) -> InviteId {
        let body = json!({"email": email, "role": "manager"});
        let invite = self.test.post(inviter, &self.path(), body).await.expect(201);
        invite.text("id").parse().expect("an id")
    }

    async fn lose(&self, user: UserId, loss: Loss) {
        let organization = format!("/v1/organizations/{}/members/{user}", self.organization);
        let workspace = format!("/v1/workspaces/{}/members/{user}", self.workspace);
        let (caller, method, path, body) = match loss {
            Loss::RemovedFromOrganization => (self.owner, Method::DELETE, organization, Value::Null),
            Loss::LeftOrganization => (user, Method::DELETE, organization, Value::Null),
            Loss::RemovedFromWorkspace => (self.owner, Method::DELETE, workspace, Value::Null),
            Loss::LeftWorkspace => (user, Method::DELETE, workspace, Value::Null),
            Loss::BecameAuthor => (self.owner, Method::PATCH, workspace, json!({"role": "author"})),
            Loss::BecameReviewer => (self.owner, Method::PATCH, workspace, json!({"role": "reviewer"})),
            Loss::Deleted => {
                let statement = "delete from organization_members where user_id = $1";
                sqlx::query(statement).bind(user).execute(self.test.pool()).await.expect("deleted");
                return;
            }
        };
        let answer = self.test.call(Some(caller), method, &path, body).await;
        assert!(answer.status.is_success(), "{loss:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_invite_is_void_when_its_inviter_may_not_invite_any_more() {
    let team = Team::start().await;
    for loss in [
        Loss::RemovedFromOrganization,
        Loss::LeftOrganization,
        Loss::RemovedFromWorkspace,
        Loss::LeftWorkspace,
        Loss::BecameAuthor,
        Loss::BecameReviewer,
        Loss::Deleted,
    ] {
        let manager =
            team.test.workspace_member(team.organization, team.workspace, WorkspaceRole::Manager).await;
        // Another account of the same person.
        let second = team.test.user("second").await;
        let address = team.test.email_of(second).await;
        let invite = team.invite_as(manager, &address).await;
        team.lose(manager, loss).await;
        team.accept(second, invite).await.expect_error(410, "link_expired");
        assert_eq!(team.roles(second).await, (None, None), "{loss:?}");
        if !matches!(loss, Loss::Deleted) {
            assert_eq!(team.status(invite).await, "revoked", "{loss:?}");
            // It does not block another invite.
            team.invite_as(team.owner, &address).await;
        }
    }
}

#[tokio::test]
async fn an_invite_of_somebody_who_lost_the_right_is_not_e_mailed() {
    let team = Team::start().await;
    team.invite_as(team.manager, "ada@example.com").await;
    team.lose(team.manager, Loss::Deleted).await;
    team.test.run_due_jobs().await;
    assert_eq!(team.test.emails(), Vec::<String>::new());
}

#[tokio::test]
async fn an_invite_stays_where_another_role_still_gives_the_right() {
    let team = Team::start().await;
    // An admin, who manages every workspace, leaves this one.
    let admin = team.test.workspace_member(team.organization, team.workspace, WorkspaceRole::Manager).await;
    let path = format!("/v1/organizations/{}/members/{admin}", team.organization);
    let become_role = |role: &str| {
        let change = json!({"role": role});
        team.test.call(Some(team.owner), Method::PATCH, &path, change)
    };
    become_role("admin").await.expect(200);
    let user = team.test.user("ada").await;
    let address = team.test.email_of(user).await;
    let invite = team.invite_as(admin, &address).await;
    team.lose(admin, Loss::BecameAuthor).await;
    assert_eq!(team.status(invite).await, "pending");

    // A manager who is also an admin loses the admin role.
    let manager_too = format!("/v1/workspaces/{}/members/{admin}", team.workspace);
    team.test
        .call(Some(team.owner), Method::PATCH, &manager_too, json!({"role": "manager"}))
        .await
        .expect(200);
    become_role("member").await.expect(200);
    assert_eq!(team.status(invite).await, "pending");
    team.accept(user, invite).await.expect(201);
}

#[tokio::test]
async fn a_demoted_admin_loses_invites_into_workspaces_that_they_do_not_manage() {
    let team = Team::start().await;
    let admin = team.test.user("admin").await;
    team.test.join_organization(team.organization, admin, OrganizationRole::Admin).await;
    let user = team.test.user("ada").await;
    let invite = team.invite_as(admin, &team.test.email_of(user).await).await;
    // Invites of other members stay.
    let other = team.invite_as(team.manager, "bob@example.com").await;
    let path = format!("/v1/organizations/{}/members/{admin}", team.organization);
    team.test.call(Some(team.owner), Method::PATCH, &path, json!({"role": "member"})).await.expect(200);
    assert_eq!(team.status(invite).await, "revoked");
    assert_eq!(team.status(other).await, "pending");
    team.accept(user, invite).await.expect_error(410, "link_expired");
}

#[tokio::test]
async fn a_refused_removal_revokes_nothing() {
    let team = Team::start().await;
    let invite = team.invite_as(team.owner, "ada@example.com").await;
    let path = format!("/v1/organizations/{}/members/{}", team.organization, team.owner);
    team.test.call(Some(team.owner), Method::DELETE, &path, Value::Null).await.expect_error(409, "conflict");
    team.test
        .call(Some(team.owner), Method::PATCH, &path, json!({"role": "member"}))
        .await
        .expect_error(409, "conflict");
    assert_eq!(team.status(invite).await, "pending");
}

/// An invite created during its inviter's removal is invisible to both statements of the removal.
#[tokio::test]
async fn an_invite_created_during_the_removal_is_void() {
    let team = Team::start().await;
    let test: &TestApp = &team.test;
    let second = test.user("second").await;
    let address = test.email_of(second).await;
    let mut transaction = test.pool().begin().await.expect("a transaction");
    let invite = InviteId::from(uuid::Uuid::now_v7());
    sqlx::query(
        "insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
         values ($1, $2, $3, 'manager', 'pending', $4, $5, $5 + interval '7 days')",
    )
    .bind(invite)
    .bind(team.workspace)
    .bind(address)
    .bind(team.manager)
    .bind(test.app.clock.now())
    .execute(&mut *transaction)
    .await
    .expect("an invite");
    team.lose(team.manager, Loss::RemovedFromOrganization).await;
    transaction.commit().await.expect("committed");
    assert_eq!(team.status(invite).await, "pending");
    team.accept(second, invite).await.expect_error(410, "link_expired");
    assert_eq!(team.roles(second).await, (None, None));
}
