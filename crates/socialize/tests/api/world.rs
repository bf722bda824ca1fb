//! An organization with a member of every role, and everything that requests refer to.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::ids::{InviteId, OrganizationId, SessionId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use serde_json::{Value, json};
use socialize::app::AppSettings;
use socialize::platform::secret::Secret;
use socialize::platform::token::{ACCESS_TOKEN_LIFETIME, LinkPurpose, Tokens};
use test_support::{Answer, TestApp};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::auth::{self, PASSWORD};

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Anonymous,
    Stranger,
    /// A member of the organization without a role in the workspace.
    Member,
    Reviewer,
    Author,
    Manager,
    Admin,
    Owner,
    Operator,
}

impl Role {
    /// In the order of the table's columns.
    pub(crate) const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Stranger,
        Self::Member,
        Self::Reviewer,
        Self::Author,
        Self::Manager,
        Self::Admin,
        Self::Owner,
        Self::Operator,
    ];
}

pub(crate) struct World<'a> {
    pub(crate) test: &'a TestApp,
    organization: OrganizationId,
    workspace: WorkspaceId,
    /// In the order of [`Role::ALL`].
    callers: [Option<UserId>; 9],
    /// Status of content items.
    item_status: &'static str,
    /// Values that have been created, by name.
    values: Mutex<HashMap<String, String>>,
}

/// Lets a table register a user per row.
pub(crate) fn without_rate_limits(settings: &mut AppSettings) {
    let limits = &mut settings.rate_limits;
    for limit in [
        &mut limits.login_failures,
        &mut limits.logins,
        &mut limits.emails_from_one_client,
        &mut limits.emails_to_one_address,
        &mut limits.writes,
        &mut limits.reports,
    ] {
        limit.count = NonZeroUsize::MAX;
    }
}

impl<'a> World<'a> {
    pub(crate) async fn new(test: &'a TestApp, item_status: &'static str) -> Self {
        let (_, stranger) = test.organization().await;
        let (organization, owner) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let admin = test.user("admin").await;
        test.join_organization(organization, admin, OrganizationRole::Admin).await;
        let member = test.user("member").await;
        test.join_organization(organization, member, OrganizationRole::Member).await;
        let reviewer = test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;
        let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
        let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
        let operator = test.operator().await;
        let users = [stranger, member, reviewer, author, manager, admin, owner, operator].map(Some);
        let mut callers = [None; 9];
        callers[1..].copy_from_slice(&users);
        Self { test, organization, workspace, callers, item_status, values: Mutex::default() }
    }

    pub(crate) fn caller(&self, role: Role) -> Option<UserId> {
        self.callers[role as usize]
    }

    fn user(&self, role: Role) -> UserId {
        self.caller(role).expect("a role with a user")
    }

    /// Replaces all names in braces by their values.
    pub(crate) async fn fill(&self, template: &str, role: Role) -> String {
        let mut filled = template.to_owned();
        while let Some(name) = first_name(&filled) {
            let value = self.value(&name, role).await;
            filled = filled.replace(&format!("{{{name}}}"), &value);
        }
        filled
    }

    async fn value(&self, name: &str, role: Role) -> String {
        // An invite belongs to the caller.
        if name == "invite_token" {
            return self.invite_token(role).await;
        }
        if name == "own_email" {
            return match self.caller(role) {
                Some(user) => self.test.email_of(user).await,
                None => new_email(),
            };
        }
        if let Some(value) = self.values.lock().await.get(name) {
            return value.clone();
        }
        let value = Box::pin(self.make(name)).await;
        self.values.lock().await.insert(name.to_owned(), value.clone());
        value
    }

    async fn make(&self, name: &str) -> String {
        let (test, organization, workspace) = (self.test, self.organization, self.workspace);
        match name {
            "organization_id" => organization.to_string(),
            "workspace_id" => workspace.to_string(),
            // A member of the organization and the workspace who sends no requests.
            "user_id" => {
                test.workspace_member(organization, workspace, WorkspaceRole::Author).await.to_string()
            }
            // A member of the organization but not of the workspace.
            "newcomer_id" => {
                let newcomer = test.user("newcomer").await;
                test.join_organization(organization, newcomer, OrganizationRole::Member).await;
                newcomer.to_string()
            }
            "content_item_id" => self.content_item().await,
            "comment_id" => {
                let path = self.fill("{items}/{content_item_id}/comments", Role::Author).await;
                test.post(self.user(Role::Author), &path, json!({"body": "A comment"}))
                    .await
                    .expect(201)
                    .text("id")
            }
            "attachment_id" => {
                let path = self.fill("{items}/{content_item_id}/attachments", Role::Author).await;
                self.upload(Method::POST, &path).await.expect(201).text("id")
            }
            "invite_id" => {
                let path = format!("/v1/workspaces/{workspace}/invites");
                let invite = json!({"email": new_email(), "role": "author"});
                test.post(self.user(Role::Manager), &path, invite).await.expect(201).text("id")
            }
            "feedback_report_id" => {
                let report = json!({"kind": "bug", "body": "It broke."});
                let created = test.post(self.user(Role::Author), "/v1/feedback-reports", report).await;
                let id = created.expect(201).text("id");
                self.upload(Method::PUT, &format!("/v1/feedback-reports/{id}/screenshot")).await.expect(200);
                id
            }
            "items" => format!("/v1/workspaces/{workspace}/content-items"),
            "soon" => (test.app.clock.now() + TimeDelta::days(1)).to_rfc3339(),
            "password" => PASSWORD.to_owned(),
            "new_email" => new_email(),
            // The address of a user with that password.
            "email" => {
                let email = new_email();
                auth::verified(test, &email).await;
                email
            }
            "refresh_token" => {
                let email = self.fill("{email}", Role::Anonymous).await;
                auth::log_in(test, &email, PASSWORD).await.expect(200).text("refresh_token")
            }
            "verification_token" => {
                let email = new_email();
                auth::register(test, &email).await.expect(202);
                auth::link(test, &email, LinkPurpose::VerifyEmail).await
            }
            "reset_token" => {
                let email = self.fill("{email}", Role::Anonymous).await;
                auth::post(test, "request-password-reset", json!({"email": email})).await.expect(202);
                auth::link(test, &email, LinkPurpose::ResetPassword).await
            }
            "access_token" => self.token(TimeDelta::zero()),
            "expired_token" => self.token(-ACCESS_TOKEN_LIFETIME),
            // Signed by another server.
            "foreign_token" => {
                let tokens = Tokens::new(&Secret::new("another server's secret"));
                let session = SessionId::from(Uuid::now_v7());
                let token = tokens.issue(self.user(Role::Owner), session, test.app.clock.now());
                token.expect("signed").expose().to_owned()
            }
            // With the header of an unsigned token.
            "unsigned_token" => {
                let token = self.token(TimeDelta::zero());
                let claims = token.split('.').nth(1).expect("three parts");
                format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#))
            }
            // The token of a user who does not exist.
            "token_of_nobody" => test.access_token(UserId::from(Uuid::new_v4())).expose().to_owned(),
            "foreign_cursor" => cursor(test.app.clock.now().timestamp_micros()),
            // 4714 BC, just before the calendar of Postgres begins.
            "ancient_cursor" => cursor(-210_866_803_200_000_001),
            // 262142 AD, near the end of other calendars.
            "distant_cursor" => cursor(8_210_266_876_799_999_999),
            unknown => panic!("nothing is called {unknown}"),
        }
    }

    /// Uploads a picture as the author.
    async fn upload(&self, method: Method, path: &str) -> Answer {
        let headers = [("if-match", "*")];
        let mut request = self.test.request(self.caller(Role::Author), method, path, &Value::Null, &headers);
        *request.body_mut() = Body::from(PNG);
        self.test.send(request).await
    }

    fn token(&self, issued: TimeDelta) -> String {
        let user = self.user(Role::Owner);
        let session = SessionId::from(user.uuid());
        let token = self.test.app.tokens.issue(user, session, self.test.app.clock.now() + issued);
        token.expect("signed").expose().to_owned()
    }

    /// Creates an item of the author with the requested status.
    async fn content_item(&self) -> String {
        let act =
            |role, path: String, body| async move { self.test.post(self.user(role), &path, body).await };
        let items = self.fill("{items}", Role::Author).await;
        let draft = json!({"channel": "linkedin", "title": "A title", "body": "A body"});
        let id = act(Role::Author, items.clone(), draft).await.expect(201).text("id");
        if self.item_status == "draft" {
            return id;
        }
        act(Role::Author, format!("{items}/{id}/submit"), Value::Null).await.expect(200);
        if self.item_status == "in_approval" {
            return id;
        }
        let approval = json!({"decision": "approve", "revision": 1});
        act(Role::Reviewer, format!("{items}/{id}/decisions"), approval).await.expect(201);
        if self.item_status == "approved" {
            return id;
        }
        let schedule = json!({"scheduled_at": self.fill("{soon}", Role::Manager).await});
        let scheduled = act(Role::Manager, format!("{items}/{id}/schedule"), schedule).await.expect(200);
        assert_eq!(scheduled.body["status"], self.item_status);
        id
    }

    async fn invite_token(&self, role: Role) -> String {
        let email = match self.caller(role) {
            Some(user) => self.test.email_of(user).await,
            None => new_email(),
        };
        let id = InviteId::from(Uuid::now_v7());
        sqlx::query(
            "insert into workspace_invites (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
             values ($1, $2, $3, 'author', 'pending', $4, $5, $5 + interval '7 days')",
        )
        .bind(id)
        .bind(self.workspace)
        .bind(email)
        .bind(self.user(Role::Manager))
        .bind(self.test.app.clock.now())
        .execute(self.test.pool())
        .await
        .expect("an invite");
        self.test.app.tokens.link(LinkPurpose::WorkspaceInvite, id.uuid()).expose().to_owned()
    }
}

/// The smallest PNG: one transparent pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\
                                \x1a\n\
                                \0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
                                \0\0\0\rIDATx\x9cc\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\
                                \0\0\0\0IEND\xaeB`\x82";

fn new_email() -> String {
    format!("somebody-{}@example.com", Uuid::new_v4().simple())
}

/// Returns the first name in braces. JSON contains braces too, but never directly around a name.
fn first_name(template: &str) -> Option<String> {
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
    let mut names = template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    names.find(is_name).map(str::to_owned)
}

/// A cursor after an item created at this time, in microseconds since 1970.
fn cursor(micros: i64) -> String {
    URL_SAFE_NO_PAD.encode([&micros.to_be_bytes()[..], Uuid::new_v4().as_bytes()].concat())
}
