//! Audit rows and log lines of changes to rights and to the protection of approval.

use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use socialize::platform::token::LinkPurpose;
use test_support::{Answer, TestApp};

struct Team {
    test: TestApp,
    organization: OrganizationId,
    owner: UserId,
    workspace: WorkspaceId,
}

impl Team {
    async fn start() -> Self {
        let test = TestApp::start().await;
        let (organization, owner) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        Self { test, organization, owner, workspace }
    }

    async fn call(&self, caller: UserId, method: Method, path: &str, body: Value) -> Answer {
        let organization = format!("/v1/organizations/{}", self.organization);
        let workspace = format!("/v1/workspaces/{}", self.workspace);
        let path = path.replace("{o}", &organization).replace("{w}", &workspace);
        self.test.call(Some(caller), method, &path, body).await
    }

    /// The rows as owners see them, oldest first.
    async fn listed(&self) -> Vec<Value> {
        let page = self.call(self.owner, Method::GET, "{o}/audit-events?limit=100", Value::Null).await;
        let mut items = page.expect(200).body["items"].as_array().expect("items").clone();
        items.reverse();
        items
    }

    /// Runs an action and returns its audit rows as `action target before after`, with `-` for nothing.
    /// Checks that each row has the actor, the time, the request id and a matching log line.
    async fn left_behind(&self, actor: UserId, act: impl Future<Output = Answer>) -> Vec<String> {
        let before = self.listed().await.len();
        self.test.log_lines();
        let counted = self.test.count("socialize.audit.events");
        let answer = act.await;
        assert!(answer.status.is_success(), "{}", answer.body);
        let lines = self.test.log_lines();
        let rows = self.listed().await.split_off(before);
        assert_eq!(self.test.count("socialize.audit.events") - counted, rows.len() as i64);
        for row in &rows {
            assert_eq!(row["actor_id"], actor.to_string(), "{row}");
            assert_eq!(row["created_at"], "2026-11-23T09:00:00Z", "{row}");
            assert_eq!(row["request_id"].as_str(), answer.header("x-request-id"), "{row}");
            let line = lines.iter().find(|line| line["audit.event.id"] == row["id"]).expect("a line");
            assert_eq!(line["event"], "socialize.audit.events");
            for (field, column) in [
                ("audit.action", "action"),
                ("user.id", "actor_id"),
                ("workspace.id", "workspace_id"),
                ("audit.target.id", "target_id"),
            ] {
                assert_eq!(line[field], row[column], "{field} of {line}");
            }
            assert_eq!(line["organization.id"], self.organization.to_string());
            assert!(!line.to_string().contains("://"), "{line}");
        }
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let columns = ["action", "target_id", "before", "after"];
        rows.iter().map(|row| columns.map(|column| text(&row[column])).join(" ")).collect()
    }
}

#[tokio::test]
async fn every_change_of_rights_leaves_a_row_and_a_line() {
    let team = Team::start().await;
    let owner = team.owner;
    let user = team.test.user("ada").await;
    let invite = json!({"email": team.test.email_of(user).await, "role": "reviewer"});
    let invite = team.call(owner, Method::POST, "{w}/invites", invite).await.expect(201).text("id");
    let token = team.test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.parse().expect("a UUID"));
    let accept = team.call(user, Method::POST, "/v1/invites/accept", json!({"token": token.expose()}));
    assert_eq!(
        team.left_behind(user, accept).await,
        [
            format!("organization_member_added {user} - member"),
            format!("workspace_member_added {user} - reviewer"),
        ]
    );

    let (in_organization, in_workspace) = (format!("{{o}}/members/{user}"), format!("{{w}}/members/{user}"));
    let other = json!({"user_id": user, "role": "author"});
    for (method, path, body, expected) in [
        (
            Method::PATCH,
            &in_workspace,
            json!({"role": "manager"}),
            vec!["workspace_role_changed U reviewer manager"],
        ),
        (Method::PATCH, &in_workspace, json!({"role": "manager"}), vec![]),
        (Method::DELETE, &in_workspace, Value::Null, vec!["workspace_member_removed U manager -"]),
        (Method::POST, &"{w}/members".to_owned(), other, vec!["workspace_member_added U - author"]),
        (
            Method::PATCH,
            &in_organization,
            json!({"role": "admin"}),
            vec!["organization_role_changed U member admin"],
        ),
        (Method::PATCH, &in_organization, json!({"role": "admin"}), vec![]),
        (
            Method::PATCH,
            &in_organization,
            json!({"role": "owner"}),
            vec!["organization_role_changed U admin owner"],
        ),
        (
            Method::PATCH,
            &in_organization,
            json!({"role": "member"}),
            vec!["organization_role_changed U owner member"],
        ),
        (
            Method::DELETE,
            &in_organization,
            Value::Null,
            vec!["organization_member_removed U member -", "workspace_member_removed U author -"],
        ),
        (
            Method::PATCH,
            &"{w}".to_owned(),
            json!({"required_approvals": 3}),
            vec!["required_approvals_changed - 1 3"],
        ),
        (Method::PATCH, &"{w}".to_owned(), json!({"required_approvals": 3, "name": "Renamed"}), vec![]),
        (
            Method::PATCH,
            &"{w}".to_owned(),
            json!({"required_approvals": 1, "allow_self_approval": true}),
            vec!["required_approvals_changed - 3 1", "self_approval_changed - false true"],
        ),
        (
            Method::POST,
            &"{w}/publishing-endpoint/rotate-secret".to_owned(),
            Value::Null,
            vec!["publishing_secret_rotated - - -"],
        ),
        (
            Method::PUT,
            &"{w}/publishing-endpoint".to_owned(),
            json!({"url": "https://example.com/b"}),
            vec!["publishing_endpoint_set - https://receiver.example/posts https://example.com/b"],
        ),
        (
            Method::DELETE,
            &"{w}/publishing-endpoint".to_owned(),
            Value::Null,
            vec!["publishing_endpoint_deleted - https://example.com/b -"],
        ),
        (
            Method::PUT,
            &"{w}/publishing-endpoint".to_owned(),
            json!({"url": "https://example.com/c"}),
            vec!["publishing_endpoint_set - - https://example.com/c"],
        ),
        (Method::PATCH, &"{o}".to_owned(), json!({"name": "Renamed"}), vec![]),
    ] {
        let what = format!("{method} {path} {body}");
        let left = team.left_behind(owner, team.call(owner, method, path, body)).await;
        let expected: Vec<String> =
            expected.into_iter().map(|row| row.replace('U', &user.to_string())).collect();
        assert_eq!(left, expected, "{what}");
    }
}

#[tokio::test]
async fn whoever_creates_becomes_something() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    let created = test.post(user, "/v1/organizations", json!({"name": "Acme"})).await.expect(201);
    let organization = format!("/v1/organizations/{}", created.text("id"));
    let workspace = json!({"name": "Brand", "required_approvals": 1});
    test.post(user, &format!("{organization}/workspaces"), workspace).await.expect(201);
    let page = test.get(user, &format!("{organization}/audit-events")).await.expect(200);
    let rows = page.body["items"].as_array().expect("items");
    let rows: Vec<_> = rows.iter().map(|row| (row["action"].as_str(), row["after"].as_str())).collect();
    assert_eq!(
        rows,
        [
            (Some("workspace_member_added"), Some("manager")),
            (Some("organization_member_added"), Some("owner")),
        ]
    );
}

#[tokio::test]
async fn a_refused_or_failed_change_leaves_nothing() {
    let team = Team::start().await;
    let author = team.test.workspace_member(team.organization, team.workspace, WorkspaceRole::Author).await;
    let body = json!({"required_approvals": 5});
    team.call(author, Method::PATCH, "{w}", body.clone()).await.expect_error(403, "forbidden");
    let path = format!("{{o}}/members/{}", team.owner);
    team.call(team.owner, Method::PATCH, &path, json!({"role": "admin"})).await.expect_error(409, "conflict");
    team.test.break_table("workspaces").await;
    team.call(team.owner, Method::PATCH, "{w}", body).await.expect_error(500, "internal");
    assert_eq!(team.listed().await, Vec::<Value>::new());
    assert_eq!(team.test.count("socialize.audit.events"), 0);
    // A change whose row cannot be written is rolled back.
    let team = Team::start().await;
    team.test.break_table("audit_events").await;
    team.call(team.owner, Method::PATCH, "{w}", json!({"allow_self_approval": true}))
        .await
        .expect_error(500, "internal");
    let workspace = team.call(team.owner, Method::GET, "{w}", Value::Null).await.expect(200);
    assert_eq!(workspace.body["allow_self_approval"], false);
}

#[tokio::test]
async fn owners_list_what_happened_in_their_own_organization_page_by_page() {
    let team = Team::start().await;
    let admin = team.test.user("admin").await;
    team.test.join_organization(team.organization, admin, OrganizationRole::Admin).await;
    for approvals in [2, 3, 4, 5, 1] {
        team.call(admin, Method::PATCH, "{w}", json!({"required_approvals": approvals})).await.expect(200);
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page =
            team.call(team.owner, Method::GET, &format!("{{o}}/audit-events{query}"), Value::Null).await;
        let page = page.expect(200);
        seen.extend(page.body["items"].as_array().expect("items").iter().map(|row| row["after"].clone()));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["1", "5", "4", "3", "2"]);
    team.call(admin, Method::GET, "{o}/audit-events", Value::Null).await.expect_error(403, "forbidden");
    let (other, stranger) = team.test.organization().await;
    team.call(stranger, Method::GET, "{o}/audit-events", Value::Null).await.expect_error(404, "not_found");
    let page = team.test.get(stranger, &format!("/v1/organizations/{other}/audit-events")).await.expect(200);
    assert_eq!(page.body["items"], json!([]));
}
