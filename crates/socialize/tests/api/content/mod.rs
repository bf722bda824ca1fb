//! Content items from draft to archive.

mod approval;
mod comments;
mod items;
mod lists;
mod workflow;

use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use http::Method;
use serde_json::{Value, json};
use telemetry::meter;
use test_support::{Answer, TestApp};

pub(crate) const ITEMS_CREATED: &str = "socialize.content_items.created";
pub(crate) const DECISIONS_SUBMITTED: &str = "socialize.approval_decisions.submitted";
pub(crate) const COMMENTS_CREATED: &str = "socialize.comments.created";

/// A workspace with one member of each role.
pub(crate) struct Team {
    pub(crate) test: TestApp,
    pub(crate) organization: OrganizationId,
    pub(crate) owner: UserId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) manager: UserId,
    pub(crate) author: UserId,
    pub(crate) reviewer: UserId,
}

impl Team {
    pub(crate) async fn start(required_approvals: i32) -> Self {
        Self::join(TestApp::start().await, required_approvals).await
    }

    pub(crate) async fn join(test: TestApp, required_approvals: i32) -> Self {
        let (organization, owner) = test.organization().await;
        let workspace = test.workspace(organization, required_approvals).await;
        let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
        let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
        let reviewer = test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;
        Self { test, organization, owner, workspace, manager, author, reviewer }
    }

    pub(crate) async fn member(&self, role: WorkspaceRole) -> UserId {
        self.test.workspace_member(self.organization, self.workspace, role).await
    }

    /// Path of the workspace's items.
    pub(crate) fn items(&self) -> String {
        format!("/v1/workspaces/{}/content-items", self.workspace)
    }

    /// Creates an item and returns its path.
    pub(crate) async fn draft(&self) -> String {
        let body = json!({"channel": "linkedin", "title": "A title", "body": "A body"});
        let created = self.test.post(self.author, &self.items(), body).await.expect(201);
        format!("{}/{}", self.items(), created.text("id"))
    }

    /// Creates and submits an item and returns its path.
    pub(crate) async fn submitted(&self) -> String {
        let item = self.draft().await;
        self.act(self.author, &item, "submit").await.expect(200);
        item
    }

    /// Creates an approved item and returns its path.
    pub(crate) async fn approved(&self) -> String {
        let item = self.submitted().await;
        self.decide(self.reviewer, &item, "approve", 1).await.expect(201);
        assert_eq!(self.status(&item).await, "approved");
        item
    }

    pub(crate) async fn act(&self, caller: UserId, item: &str, action: &str) -> Answer {
        self.test.post(caller, &format!("{item}/{action}"), Value::Null).await
    }

    pub(crate) async fn schedule(&self, caller: UserId, item: &str, at: &str) -> Answer {
        self.test.post(caller, &format!("{item}/schedule"), json!({"scheduled_at": at})).await
    }

    pub(crate) async fn decide(&self, caller: UserId, item: &str, decision: &str, revision: i32) -> Answer {
        let body = json!({"decision": decision, "revision": revision});
        self.test.post(caller, &format!("{item}/decisions"), body).await
    }

    pub(crate) async fn edit(&self, caller: UserId, item: &str, etag: &str, edit: Value) -> Answer {
        let headers = [("if-match", etag)];
        self.test.send(self.test.request(Some(caller), Method::PATCH, item, &edit, &headers)).await
    }

    /// Edits the current version.
    pub(crate) async fn rewrite(&self, item: &str, title: &str) -> Answer {
        self.edit(self.author, item, &self.etag(item).await, json!({"title": title})).await
    }

    pub(crate) async fn read(&self, item: &str) -> Answer {
        self.test.get(self.author, item).await.expect(200)
    }

    pub(crate) async fn status(&self, item: &str) -> String {
        self.read(item).await.text("status")
    }

    pub(crate) async fn etag(&self, item: &str) -> String {
        self.read(item).await.header("etag").expect("an ETag").to_owned()
    }

    /// Locks the item until both requests wait for it, and releases them in the order of their arrival.
    pub(crate) async fn one_after_the_other(
        &self,
        item: &str,
        first: impl Future<Output = Answer>,
        second: impl Future<Output = Answer>,
    ) -> (Answer, Answer) {
        let mut holder = self.test.pool().begin().await.expect("a transaction");
        sqlx::query("select from content_items where id = $1::uuid for update")
            .bind(id_of(item))
            .execute(&mut *holder)
            .await
            .expect("a lock");
        let after_the_first = async {
            self.test.wait_until_blocked(1).await;
            second.await
        };
        let release = async {
            self.test.wait_until_blocked(2).await;
            holder.rollback().await.expect("released");
        };
        let (first, second, ()) = tokio::join!(first, after_the_first, release);
        (first, second)
    }

    /// Payloads of enqueued e-mails, oldest first.
    pub(crate) async fn emails(&self) -> Vec<Value> {
        sqlx::query_scalar("select payload from jobs where kind = 'send_email' order by id")
            .fetch_all(self.test.pool())
            .await
            .expect("jobs")
    }

    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let statement = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(self.test.pool()).await.expect("a count")
    }
}

pub(crate) fn id_of(item: &str) -> &str {
    item.rsplit('/').next().expect("a path")
}

pub(crate) fn series(metrics: &meter::Snapshot, name: &str, label: (&str, &str)) -> i64 {
    match metrics.value(name, &[label]) {
        Some(meter::Value::Integer(count)) => *count,
        other => panic!("{name} {label:?} is {other:?}"),
    }
}

/// A field of every item on a page.
pub(crate) fn column(page: &Answer, field: &str) -> Vec<Value> {
    page.body["items"].as_array().expect("items").iter().map(|item| item[field].clone()).collect()
}
