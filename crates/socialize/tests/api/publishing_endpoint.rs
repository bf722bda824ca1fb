//! Publishing endpoint of a workspace.

use domain::ids::{UserId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use http::Method;
use serde_json::{Value, json};
use telemetry::meter;
use test_support::{Answer, TestApp};

const CHANGED: &str = "socialize.publishing_endpoints.changed";

struct Team {
    test: TestApp,
    workspace: WorkspaceId,
    manager: UserId,
}

impl Team {
    /// A workspace without an endpoint.
    async fn start() -> Self {
        let test = TestApp::start().await;
        let (organization, _) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let manager = test.workspace_member(organization, workspace, WorkspaceRole::Manager).await;
        sqlx::query("delete from publishing_endpoints").execute(test.pool()).await.expect("deleted");
        Self { test, workspace, manager }
    }

    async fn call(&self, method: Method, more: &str, body: Value) -> Answer {
        let path = format!("/v1/workspaces/{}/publishing-endpoint{more}", self.workspace);
        self.test.call(Some(self.manager), method, &path, body).await
    }

    async fn set(&self, url: &str) -> Answer {
        self.call(Method::PUT, "", json!({"url": url})).await
    }

    async fn read(&self) -> Answer {
        self.call(Method::GET, "", Value::Null).await
    }

    /// Counts of created, replaced, rotated and deleted.
    fn changes(&self) -> [i64; 4] {
        ["created", "replaced", "secret_rotated", "deleted"].map(|change| {
            match self.test.metrics().value(CHANGED, &[("change", change)]) {
                Some(meter::Value::Integer(count)) => *count,
                other => panic!("a counter, not {other:?}"),
            }
        })
    }

    async fn stored(&self) -> Vec<String> {
        sqlx::query_scalar("select to_jsonb(publishing_endpoints)::text from publishing_endpoints")
            .fetch_all(self.test.pool())
            .await
            .expect("endpoints")
    }
}

#[tokio::test]
async fn the_secret_is_shown_when_it_is_new_and_stored_nowhere() {
    let team = Team::start().await;
    assert_eq!(team.changes(), [0; 4]);
    team.read().await.expect_error(404, "not_found");
    let created = team.set("https://example.com/posts?tenant=7#part").await.expect(201);
    assert_eq!(created.text("url"), "https://example.com/posts?tenant=7");
    let first = created.text("secret");
    assert!(first.starts_with("whsec_") && first.len() == 6 + 44, "{first}");

    let read = team.read().await.expect(200);
    let now = team.test.app.clock.now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let expected = json!({
        "url": "https://example.com/posts?tenant=7", "disabled_at": null, "previous_secret_until": null,
        "created_at": now, "updated_at": now,
    });
    assert_eq!(read.body, expected);
    let replaced = team.set("https://example.org/posts").await.expect(200);
    assert_eq!(
        (replaced.text("url").as_str(), &replaced.body["secret"]),
        ("https://example.org/posts", &Value::Null)
    );

    let rotated = team.call(Method::POST, "/rotate-secret", Value::Null).await.expect(200);
    let second = rotated.text("secret");
    assert_eq!(rotated.text("previous_secret_until"), "2026-11-24T09:00:00Z");
    let stored = team.stored().await.join("");
    let lines = format!("{:?}", team.test.log_lines());
    for secret in [&first, &second] {
        assert!(!stored.contains(secret.trim_start_matches("whsec_")) && !lines.contains(secret.as_str()));
    }
    assert!(!lines.contains("example.com") && !lines.contains("example.org"), "{lines}");

    team.call(Method::DELETE, "", Value::Null).await.expect(204);
    for method in [Method::GET, Method::DELETE] {
        team.call(method, "", Value::Null).await.expect_error(404, "not_found");
    }
    team.call(Method::POST, "/rotate-secret", Value::Null).await.expect_error(404, "not_found");
    // A new endpoint shares nothing with the previous one.
    let third = team.set("https://example.com/posts?tenant=7").await.expect(201).text("secret");
    assert!(third != first && third != second);
    assert_eq!(team.changes(), [2, 1, 1, 1]);
    assert!(lines.contains("socialize.publishing_endpoints.changed"));
}

#[tokio::test]
async fn setting_a_disabled_endpoint_enables_it() {
    let team = Team::start().await;
    team.set("https://example.com/posts").await.expect(201);
    sqlx::query("update publishing_endpoints set disabled_at = updated_at")
        .execute(team.test.pool())
        .await
        .expect("disabled");
    assert!(team.read().await.expect(200).body["disabled_at"].is_string());
    assert_eq!(team.set("https://example.com/posts").await.expect(200).body["disabled_at"], Value::Null);
}

#[tokio::test]
async fn a_url_that_may_not_be_called_is_refused() {
    let team = Team::start().await;
    for (url, mentions) in [
        ("http://example.com/posts", "HTTPS"),
        ("example.com/posts", "HTTPS"),
        ("ftp://example.com/posts", "HTTPS"),
        ("file:///etc/passwd", "HTTPS"),
        ("https:///posts-without-host?", "HTTPS"),
        ("https://user:password@example.com/", "user name"),
        ("https://127.0.0.1/posts", "private"),
        ("https://169.254.169.254/latest", "private"),
        ("https://[::ffff:10.0.0.1]/", "private"),
        ("https://2130706433/posts", "private"),
        ("https://0x7f.0.0.1/", "private"),
        ("short", "at least 10"),
    ] {
        let refused = team.set(url).await;
        // A URL without a host takes its first path segment as the host.
        if url.starts_with("https:///") {
            refused.expect(201);
            team.call(Method::DELETE, "", Value::Null).await.expect(204);
            continue;
        }
        let refused = refused.expect_error(422, "invalid_field");
        let message = refused.text("message");
        assert!(message.starts_with("url: ") && message.contains(mentions), "{url}: {message}");
    }
    team.set(&format!("https://example.com/{}", "a".repeat(2_000))).await.expect_error(422, "invalid_field");
    // Percent-encoding can make a short input too long.
    team.set(&format!("https://example.com/{}", "ä".repeat(400))).await.expect_error(422, "invalid_field");
    assert_eq!(team.stored().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_change_leaves_everything_as_it_was_and_is_not_counted() {
    let team = Team::start().await;
    team.set("https://example.com/posts").await.expect(201);
    let stored = team.stored().await;
    team.test.break_table("publishing_endpoints").await;
    team.set("https://example.org/").await.expect_error(500, "internal");
    team.call(Method::POST, "/rotate-secret", Value::Null).await.expect_error(500, "internal");
    assert_eq!((team.stored().await, team.changes()), (stored, [1, 0, 0, 0]));
}
