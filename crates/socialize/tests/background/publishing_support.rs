//! Shared by the tests of publishing: a team, patient calls, and counts from the metrics.

use std::time::Duration;

use chrono::TimeDelta;
use domain::ids::{UserId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use http::Method;
use serde_json::{Value, json};
use socialize::platform::outbound::{Lookup, OutboundSettings, OutboundTimeouts};
use socialize::run::workers;
use socialize::run::workers::WorkerSettings;
use telemetry::meter;
use test_support::TestApp;

use crate::support::settings;

/// Timeouts that a working local peer never reaches, even on a busy machine.
pub(crate) const PATIENT: OutboundTimeouts = OutboundTimeouts {
    resolve: Duration::from_secs(60),
    connect: Duration::from_secs(60),
    response: Duration::from_secs(60),
    body: Duration::from_secs(60),
};

/// Allows loopback.
pub(crate) fn loopback() -> OutboundSettings {
    OutboundSettings {
        allowed_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        extra_root_certificates: None,
        sends_trace_context: false,
        timeouts: PATIENT,
    }
}

/// A workspace whose items are published.
pub(crate) struct Team {
    pub(crate) workspace: WorkspaceId,
    pub(crate) manager: UserId,
    pub(crate) author: UserId,
    reviewer: UserId,
}

impl Team {
    pub(crate) async fn of(test: &TestApp) -> Self {
        let (organization, _) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
        let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
        let reviewer = test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;
        Self { workspace, manager, author, reviewer }
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/workspaces/{}", self.workspace)
    }

    /// Creates and approves an item and returns its path.
    pub(crate) async fn approved(&self, test: &TestApp) -> String {
        let items = format!("{}/content-items", self.path());
        let draft = json!({"channel": "linkedin", "title": "A private title", "body": "A private body"});
        let id = test.post(self.author, &items, draft).await.expect(201).text("id");
        let item = format!("{items}/{id}");
        test.post(self.author, &format!("{item}/submit"), Value::Null).await.expect(200);
        let approval = json!({"decision": "approve", "revision": 1});
        test.post(self.reviewer, &format!("{item}/decisions"), approval).await.expect(201);
        // E-mails are not part of these tests.
        sqlx::query("delete from jobs where kind = 'send_email'")
            .execute(test.pool())
            .await
            .expect("deleted");
        item
    }

    pub(crate) async fn act(&self, test: &TestApp, item: &str, action: &str) -> Value {
        test.post(self.manager, &format!("{item}/{action}"), Value::Null).await.expect(200).body
    }

    pub(crate) async fn schedule(&self, test: &TestApp, item: &str, ahead: TimeDelta) {
        let at = json!({"scheduled_at": test.app.clock.now() + ahead});
        test.post(self.manager, &format!("{item}/schedule"), at).await.expect(200);
    }

    /// Approves an item and publishes it at once, as a manager.
    pub(crate) async fn publishing(&self, test: &TestApp) -> String {
        let item = self.approved(test).await;
        assert_eq!(self.act(test, &item, "publish").await["status"], "scheduled");
        item
    }

    pub(crate) async fn read(&self, test: &TestApp, item: &str) -> Value {
        test.get(self.manager, item).await.expect(200).body
    }

    pub(crate) async fn status(&self, test: &TestApp, item: &str) -> String {
        self.read(test, item).await["status"].as_str().expect("a status").to_owned()
    }

    /// Sets the endpoint as a manager, and returns the secret if it is new.
    pub(crate) async fn set_endpoint(&self, test: &TestApp, url: &str) -> Option<String> {
        let path = format!("{}/publishing-endpoint", self.path());
        let set = test.call(Some(self.manager), Method::PUT, &path, json!({"url": url})).await;
        assert!(set.status.is_success(), "{}", set.body);
        set.body["secret"].as_str().map(str::to_owned)
    }

    pub(crate) async fn call_endpoint(&self, test: &TestApp, method: Method, more: &str) -> Value {
        let path = format!("{}/publishing-endpoint{more}", self.path());
        let answer = test.call(Some(self.manager), method, &path, Value::Null).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        answer.body
    }
}

pub(crate) fn id_of(item: &str) -> &str {
    item.rsplit('/').next().expect("a path")
}

/// Number of attempts with this outcome, by the metric.
pub(crate) fn attempts(test: &TestApp, outcome: &str) -> i64 {
    match test.metrics().value("socialize.publishing.deliveries", &[("outcome", outcome)]) {
        Some(meter::Value::Integer(count)) => *count,
        other => panic!("a counter, not {other:?}"),
    }
}

/// Number of calls with this result, by the metric.
pub(crate) fn calls(test: &TestApp, status: Option<&str>, error_type: Option<&str>) -> u64 {
    let mut labels = vec![("http.request.method", "POST"), ("service.peer.name", "publishing_endpoint")];
    labels.extend(status.map(|status| ("http.response.status_code", status)));
    labels.extend(error_type.map(|error_type| ("error.type", error_type)));
    match test.metrics().value("http.client.request.duration", &labels) {
        Some(meter::Value::Distribution(distribution)) => distribution.count(),
        other => panic!("no histogram for {labels:?}: {other:?}"),
    }
}

pub(crate) fn real_work() -> WorkerSettings {
    WorkerSettings {
        policy: |kind| socialize::queue::JobPolicy { every: None, ..workers::policy(kind) },
        concurrency: 4,
        ..settings(async |app, job| workers::run(app, job).await)
    }
}

/// A resolver that returns these addresses for every name.
pub(crate) fn finds(addresses: &[&str]) -> Lookup {
    let found: Vec<_> =
        addresses.iter().map(|address| format!("{address}:0").parse().expect("an address")).collect();
    std::sync::Arc::new(move |_| {
        let found = found.clone();
        Box::pin(async move { Ok(found) })
    })
}
