//! Registration, log-in, token refresh and password reset.

mod costs;
mod enumeration;
mod limits;
mod links;
mod login_limits;
mod migration;
mod password_reset;
mod privacy;
mod registration;
mod sessions;

use domain::ids::UserId;
use http::Method;
use serde_json::{Value, json};
use socialize::platform::token::LinkPurpose;
use telemetry::meter;
use test_support::{Answer, TestApp};
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const WRONG: &str = "incorrect horse battery staple";
pub(crate) const ATTEMPTS: &str = "socialize.auth.login.attempts";
pub(crate) const SUCCESSES: &str = "socialize.auth.login.successes";
pub(crate) const FAILURES: &str = "socialize.auth.failures";

/// `POST` without an access token.
pub(crate) async fn post(test: &TestApp, path: &str, body: Value) -> Answer {
    test.call(None, Method::POST, &format!("/v1/auth/{path}"), body).await
}

pub(crate) async fn register(test: &TestApp, email: &str) -> Answer {
    post(test, "register", json!({"email": email, "display_name": "Ada", "password": PASSWORD})).await
}

pub(crate) async fn log_in(test: &TestApp, email: &str, password: &str) -> Answer {
    post(test, "login", json!({"email": email, "password": password})).await
}

pub(crate) async fn refresh(test: &TestApp, refresh_token: &str) -> Answer {
    post(test, "refresh", json!({"refresh_token": refresh_token})).await
}

/// Tokens of all e-mailed links of one purpose to the user, newest first.
pub(crate) async fn links(test: &TestApp, email: &str, purpose: LinkPurpose) -> Vec<String> {
    let query = match purpose {
        LinkPurpose::VerifyEmail => "select id from pending_registrations where email = $1 order by id desc",
        LinkPurpose::ResetPassword => {
            "select t.id from email_tokens t join users u on u.id = t.user_id
             where u.email = $1 and t.purpose = 'reset_password' order by t.id desc"
        }
        LinkPurpose::WorkspaceInvite => "select id from workspace_invites where email = $1 order by id desc",
    };
    let ids: Vec<Uuid> = sqlx::query_scalar(query).bind(email).fetch_all(test.pool()).await.expect("tokens");
    ids.into_iter().map(|id| test.app.tokens.link(purpose, id).expose().to_owned()).collect()
}

pub(crate) async fn link(test: &TestApp, email: &str, purpose: LinkPurpose) -> String {
    links(test, email, purpose).await.into_iter().next().expect("a link")
}

/// Registers a user and confirms the address through the API.
pub(crate) async fn verified(test: &TestApp, email: &str) -> UserId {
    register(test, email).await.expect(202);
    let token = link(test, email, LinkPurpose::VerifyEmail).await;
    post(test, "verify-email", json!({"token": token})).await.expect(204);
    sqlx::query_scalar("select id from users where email = $1")
        .bind(email)
        .fetch_one(test.pool())
        .await
        .expect("a user")
}

/// Number of failures counted for a reason.
pub(crate) fn failures(test: &TestApp, reason: &str) -> i64 {
    match test.metrics().value(FAILURES, &[("reason", reason)]) {
        Some(meter::Value::Integer(count)) => *count,
        other => panic!("no counter for {reason}: {other:?}"),
    }
}

/// Payloads of all enqueued e-mails, oldest first.
pub(crate) async fn emails(test: &TestApp) -> Vec<Value> {
    sqlx::query_scalar("select payload from jobs where kind = 'send_email' order by id")
        .fetch_all(test.pool())
        .await
        .expect("jobs")
}

pub(crate) async fn count(test: &TestApp, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(test.pool()).await.expect("a count")
}

/// An error response without its request id.
pub(crate) fn without_request_id(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body.as_object_mut().expect("an object").remove("request_id");
    body
}

/// Number of database operations of each request on a route, from log lines since the last call.
pub(crate) fn database_operations(test: &TestApp, route: &str) -> Vec<u64> {
    let lines = test.log_lines();
    let requests = lines.iter().filter(|line| line["http.route"] == route);
    requests.map(|line| line["db.operations"].as_u64().expect("a number")).collect()
}
