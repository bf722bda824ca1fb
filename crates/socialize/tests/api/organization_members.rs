//! Members of an organization and their roles.

use std::collections::BTreeSet;

use domain::ids::{OrganizationId, UserId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestApp};

/// An organization with two owners, an admin and a member.
struct Team {
    test: TestApp,
    organization: OrganizationId,
    owner: UserId,
    other_owner: UserId,
    admin: UserId,
    member: UserId,
}

impl Team {
    async fn start() -> Self {
        let test = TestApp::start().await;
        let (organization, owner) = test.organization().await;
        let (other_owner, admin, member) =
            (test.user("other-owner").await, test.user("admin").await, test.user("member").await);
        test.join_organization(organization, other_owner, OrganizationRole::Owner).await;
        test.join_organization(organization, admin, OrganizationRole::Admin).await;
        test.join_organization(organization, member, OrganizationRole::Member).await;
        Self { test, organization, owner, other_owner, admin, member }
    }

    fn path(&self, user: UserId) -> String {
        format!("/v1/organizations/{}/members/{user}", self.organization)
    }

    async fn make(&self, caller: UserId, user: UserId, role: &str) -> Answer {
        self.test.call(Some(caller), Method::PATCH, &self.path(user), json!({"role": role})).await
    }

    async fn remove(&self, caller: UserId, user: UserId) -> Answer {
        self.test.call(Some(caller), Method::DELETE, &self.path(user), Value::Null).await
    }

    async fn role(&self, user: UserId) -> Option<String> {
        sqlx::query_scalar(
            "select role from organization_members where organization_id = $1 and user_id = $2",
        )
        .bind(self.organization)
        .bind(user)
        .fetch_optional(self.test.pool())
        .await
        .expect("a result")
    }

    async fn owners(&self) -> i64 {
        sqlx::query_scalar(
            "select count(*) from organization_members where organization_id = $1 and role = 'owner'",
        )
        .bind(self.organization)
        .fetch_one(self.test.pool())
        .await
        .expect("a count")
    }

    /// Locks the owners' rows until both requests wait for them, so that neither ends before the other has
    /// begun.
    async fn at_once(
        &self,
        first: impl Future<Output = Answer>,
        second: impl Future<Output = Answer>,
    ) -> [Answer; 2] {
        let mut transaction = self.test.pool().begin().await.expect("a transaction");
        sqlx::query("select from organization_members where organization_id = $1 for update")
            .bind(self.organization)
            .execute(&mut *transaction)
            .await
            .expect("locked");
        let release = async {
            self.test.wait_until_blocked(2).await;
            transaction.commit().await.expect("committed");
        };
        let (first, second, ()) = tokio::join!(first, second, release);
        let mut answers = [first, second];
        answers.sort_by_key(|answer| answer.status);
        answers
    }
}

#[tokio::test]
async fn admins_see_everybody_page_by_page() {
    let team = Team::start().await;
    let path = format!("/v1/organizations/{}/members", team.organization);
    let first = team.test.get(team.admin, &format!("{path}?limit=3")).await.expect(200);
    let cursor = first.text("next_cursor");
    let second = team.test.get(team.admin, &format!("{path}?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(second.body["next_cursor"], Value::Null);
    let items = [first.body["items"].as_array(), second.body["items"].as_array()].map(|i| i.expect("items"));
    let mut listed: Vec<(String, String)> = items
        .into_iter()
        .flatten()
        .map(|item| (item["user_id"].as_str().expect("an id").to_owned(), item["role"].to_string()))
        .collect();
    listed.sort();
    let mut expected = [
        (team.owner.to_string(), "\"owner\"".to_owned()),
        (team.other_owner.to_string(), "\"owner\"".to_owned()),
        (team.admin.to_string(), "\"admin\"".to_owned()),
        (team.member.to_string(), "\"member\"".to_owned()),
    ];
    expected.sort();
    assert_eq!(listed, expected);
    let member = items.into_iter().flatten().find(|item| item["user_id"] == team.member.to_string());
    let member = member.expect("the member");
    assert_eq!(member["display_name"], "member");
    assert_eq!(member["email"], team.test.email_of(team.member).await);
    assert_eq!(member["joined_at"], "2026-11-23T09:00:00Z");

    team.test.get(team.member, &format!("{path}?limit=101")).await.expect_error(400, "malformed_request");
    let stranger = team.test.user("stranger").await;
    team.test.get(stranger, &path).await.expect_error(404, "not_found");
    team.test.call(None, Method::GET, &path, Value::Null).await.expect_error(401, "unauthenticated");
}

#[tokio::test]
async fn members_see_names_of_the_people_of_their_workspaces_and_no_addresses() {
    let team = Team::start().await;
    let path = format!("/v1/organizations/{}/members", team.organization);
    let workspace = team.test.workspace(team.organization, 1).await;
    let elsewhere = team.test.workspace(team.organization, 1).await;
    let member_of =
        async |workspace, role| team.test.workspace_member(team.organization, workspace, role).await;
    let author = member_of(workspace, WorkspaceRole::Author).await;
    let manager = member_of(workspace, WorkspaceRole::Manager).await;
    let other = member_of(elsewhere, WorkspaceRole::Manager).await;
    // The members that the caller sees on all pages, and those with addresses.
    let seen = async |caller: UserId| {
        let (mut people, mut addresses, mut query) =
            (BTreeSet::new(), BTreeSet::new(), "?limit=2".to_owned());
        loop {
            let page = team.test.get(caller, &format!("{path}{query}")).await.expect(200);
            for item in page.body["items"].as_array().expect("items") {
                let user: UserId = item["user_id"].as_str().expect("an id").parse().expect("an id");
                assert!(item["display_name"].is_string() && item["role"].is_string(), "{item}");
                people.insert(user);
                if let Some(email) = item["email"].as_str() {
                    assert_eq!(email, team.test.email_of(user).await);
                    addresses.insert(user);
                }
            }
            let Some(cursor) = page.body["next_cursor"].as_str() else { return (people, addresses) };
            query = format!("?limit=2&cursor={cursor}");
        }
    };
    let set = |users: &[UserId]| BTreeSet::from_iter(users.iter().copied());
    let admins = [team.owner, team.other_owner, team.admin];
    for caller in [author, manager] {
        let people = set(&[&admins[..], &[author, manager]].concat());
        assert_eq!(seen(caller).await, (people, set(&[caller])));
    }
    assert_eq!(seen(other).await, (set(&[&admins[..], &[other]].concat()), set(&[other])));
    // A member without a workspace sees only themselves.
    assert_eq!(seen(team.member).await, (set(&[team.member]), set(&[team.member])));
    let everybody = set(&[&admins[..], &[team.member, author, manager, other]].concat());
    for caller in admins {
        assert_eq!(seen(caller).await, (everybody.clone(), everybody.clone()));
    }
}

#[tokio::test]
async fn roles_are_changed_by_those_who_may() {
    let team = Team::start().await;
    let (owner, other_owner, admin, member) = (team.owner, team.other_owner, team.admin, team.member);

    let changed = team.make(admin, member, "admin").await.expect(200);
    assert_eq!((changed.text("user_id"), changed.text("role")), (member.to_string(), "admin".to_owned()));
    team.make(owner, member, "member").await.expect(200);
    team.make(owner, member, "owner").await.expect(200);
    team.make(member, member, "member").await.expect(200);

    for role in ["owner", "admin", "member"] {
        team.make(member, admin, role).await.expect_error(403, "forbidden");
        team.make(member, member, role).await.expect_error(403, "forbidden");
        team.make(admin, other_owner, role).await.expect_error(403, "forbidden");
    }
    for user in [admin, member] {
        team.make(admin, user, "owner").await.expect_error(403, "forbidden");
    }
    team.make(owner, member, "boss").await.expect_error(422, "invalid_field");
    let stranger = team.test.user("stranger").await;
    team.make(stranger, member, "admin").await.expect_error(404, "not_found");
    team.make(owner, stranger, "admin").await.expect_error(404, "not_found");

    assert_eq!(team.role(admin).await.as_deref(), Some("admin"));
    assert_eq!(team.role(member).await.as_deref(), Some("member"));
    assert_eq!(team.role(other_owner).await.as_deref(), Some("owner"));

    team.make(admin, admin, "member").await.expect(200);
    team.make(admin, member, "admin").await.expect_error(403, "forbidden");
}

#[tokio::test]
async fn a_failed_change_leaves_the_role() {
    let team = Team::start().await;
    team.test.break_table("organization_members").await;
    team.make(team.owner, team.member, "admin").await.expect_error(500, "internal");
    assert_eq!(team.role(team.member).await.as_deref(), Some("member"));
}

#[tokio::test]
async fn members_are_removed_by_those_who_may_and_anybody_may_leave() {
    let team = Team::start().await;
    let (owner, other_owner, admin, member) = (team.owner, team.other_owner, team.admin, team.member);

    team.remove(member, admin).await.expect_error(403, "forbidden");
    team.remove(admin, owner).await.expect_error(403, "forbidden");
    let stranger = team.test.user("stranger").await;
    team.remove(stranger, member).await.expect_error(404, "not_found");
    team.remove(owner, stranger).await.expect_error(404, "not_found");

    let leaver = team.test.user("leaver").await;
    team.test.join_organization(team.organization, leaver, OrganizationRole::Member).await;
    team.remove(leaver, leaver).await.expect(204);
    team.remove(leaver, leaver).await.expect_error(404, "not_found");
    team.remove(admin, member).await.expect(204);
    team.remove(admin, member).await.expect_error(404, "not_found");
    team.remove(admin, admin).await.expect(204);
    team.remove(owner, other_owner).await.expect(204);
    for user in [admin, member, other_owner] {
        assert_eq!(team.role(user).await, None);
        let path = format!("/v1/organizations/{}", team.organization);
        team.test.get(user, &path).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn the_last_owner_stays() {
    let team = Team::start().await;
    team.remove(team.other_owner, team.other_owner).await.expect(204);
    team.remove(team.owner, team.owner).await.expect_error(409, "conflict");
    team.make(team.owner, team.owner, "admin").await.expect_error(409, "conflict");
    team.make(team.owner, team.owner, "owner").await.expect(200);
    assert_eq!(team.owners().await, 1);

    team.make(team.owner, team.member, "owner").await.expect(200);
    team.make(team.owner, team.owner, "member").await.expect(200);
    assert_eq!(team.role(team.owner).await.as_deref(), Some("member"));
    assert_eq!(team.owners().await, 1);
}

#[tokio::test]
async fn two_owners_cannot_demote_each_other_at_once() {
    let team = Team::start().await;
    let first = team.make(team.owner, team.other_owner, "member");
    let second = team.make(team.other_owner, team.owner, "member");
    let [done, refused] = team.at_once(first, second).await;
    done.expect(200);
    refused.expect_error(403, "forbidden");
    assert_eq!(team.owners().await, 1);
}

#[tokio::test]
async fn two_owners_cannot_leave_at_once() {
    let team = Team::start().await;
    let first = team.remove(team.owner, team.owner);
    let second = team.remove(team.other_owner, team.other_owner);
    let [done, refused] = team.at_once(first, second).await;
    done.expect(204);
    refused.expect_error(409, "conflict");
    assert_eq!(team.owners().await, 1);
}

#[tokio::test]
async fn whoever_goes_leaves_all_workspaces_and_cannot_come_back_by_an_old_link() {
    let team = Team::start().await;
    let workspace = team.test.workspace(team.organization, 1).await;
    let another = team.test.workspace(team.organization, 1).await;
    let reviewer = team.test.workspace_member(team.organization, workspace, WorkspaceRole::Reviewer).await;
    let invite = json!({"email": team.test.email_of(reviewer).await, "role": "author"});
    team.test.post(team.owner, &format!("/v1/workspaces/{another}/invites"), invite).await.expect(201);
    let elsewhere = team.test.organization().await;
    let kept = team.test.workspace(elsewhere.0, 1).await;
    let invite = json!({"email": team.test.email_of(reviewer).await, "role": "author"});
    team.test.post(elsewhere.1, &format!("/v1/workspaces/{kept}/invites"), invite).await.expect(201);

    // A rejected removal revokes nothing.
    team.remove(team.member, reviewer).await.expect_error(403, "forbidden");
    team.remove(team.owner, reviewer).await.expect(204);

    team.test.get(reviewer, &format!("/v1/workspaces/{workspace}")).await.expect_error(404, "not_found");
    let memberships: i64 = sqlx::query_scalar("select count(*) from workspace_members where user_id = $1")
        .bind(reviewer)
        .fetch_one(team.test.pool())
        .await
        .expect("a count");
    assert_eq!(memberships, 0);
    for (caller, workspace, status) in [(team.owner, another, "revoked"), (elsewhere.1, kept, "pending")] {
        let invites = team.test.get(caller, &format!("/v1/workspaces/{workspace}/invites")).await.expect(200);
        assert_eq!(invites.body["items"][0]["status"], status);
    }
}
