//! A user who sends valid requests at a constant rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::application::{API, MAIL_DIRECTORY, SECOND_API};
use crate::programs::eventually;

/// Interval of requests, independent of responses.
const EVERY: Duration = Duration::from_millis(100);

/// One request in this many creates an object.
const CREATES: u64 = 10;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "a long password of somebody";

/// A user with a workspace and a content item in it.
#[derive(Clone)]
pub(crate) struct User {
    client: Client,
    access_token: String,
    organization: String,
    workspace: String,
    item: String,
    /// A report for screenshots.
    report: String,
}

/// Requests that continue until this is dropped.
pub(crate) struct AtWork {
    task: JoinHandle<()>,
    /// Set while the user only reads.
    pub(crate) only_reads: Arc<AtomicBool>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl User {
    /// Registers, opens the link, logs in and creates objects to work on.
    pub(crate) async fn register(client: &Client) -> Self {
        let mut user = Self {
            client: client.clone(),
            access_token: String::new(),
            organization: String::new(),
            workspace: String::new(),
            item: String::new(),
            report: String::new(),
        };
        let new = json!({"email": EMAIL, "display_name": "Ada", "password": PASSWORD});
        user.must(Method::POST, "/v1/auth/register", new).await;
        let token = eventually("the e-mail with the link", async || verification_token()).await;
        user.must(Method::POST, "/v1/auth/verify-email", json!({"token": token})).await;
        user.log_in().await;
        user.organization = user.create("/v1/organizations", json!({"name": "Drills"})).await;
        let path = format!("/v1/organizations/{}/workspaces", user.organization);
        user.workspace = user.create(&path, json!({"name": "Drills", "required_approvals": 1})).await;
        let path = format!("/v1/workspaces/{}/content-items", user.workspace);
        user.item = user.create(&path, json!({"channel": "other", "title": "One", "body": "Two"})).await;
        let idea = json!({"kind": "idea", "body": "A dark theme."});
        user.report = user.create("/v1/feedback-reports", idea).await;
        user
    }

    /// Starts a session, which lasts a quarter of an hour.
    pub(crate) async fn log_in(&mut self) {
        let credentials = json!({"email": EMAIL, "password": PASSWORD});
        let session = self.must(Method::POST, "/v1/auth/login", credentials).await;
        self.access_token = session["access_token"].as_str().expect("a token").to_owned();
    }

    pub(crate) async fn fail_to_log_in(&self) {
        let credentials = json!({"email": EMAIL, "password": "not this long password"});
        let status = self.send(Method::POST, "/v1/auth/login", credentials).await.expect("an answer").0;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }

    pub(crate) async fn report_bug(&self) {
        self.must(Method::POST, "/v1/feedback-reports", json!({"kind": "bug", "body": "It broke."})).await;
    }

    /// Sends an invalid name.
    pub(crate) async fn rename_in_vain(&self) {
        let answer = self.send(Method::PATCH, "/v1/me", json!({"display_name": ""})).await;
        assert_eq!(answer.expect("an answer").0, StatusCode::UNPROCESSABLE_ENTITY);
    }

    /// Makes a special build panic.
    pub(crate) async fn cause_panic(&self) -> StatusCode {
        let path = format!("/v1/organizations/{}", self.organization);
        self.send(Method::PATCH, &path, json!({"name": "Panics"})).await.expect("an answer").0
    }

    /// Hangs all worker threads of a special build.
    pub(crate) async fn cause_hang(&self) {
        let path = format!("/v1/organizations/{}", self.organization);
        let request = self.send(Method::PATCH, &path, json!({"name": "Hangs"}));
        // Usually there is no response.
        let _ = tokio::time::timeout(Duration::from_secs(2), request).await;
    }

    /// Causes an e-mail.
    pub(crate) async fn forget_password(&self) {
        self.must(Method::POST, "/v1/auth/request-password-reset", json!({"email": EMAIL})).await;
    }

    /// Registers another address with this name, which causes an e-mail to it.
    pub(crate) async fn let_somebody_register(&self, name: &str) {
        let email = format!("{name}@example.com");
        let new = json!({"email": email, "display_name": "Somebody", "password": PASSWORD});
        self.must(Method::POST, "/v1/auth/register", new).await;
    }

    pub(crate) async fn comment(&self) {
        self.must(Method::POST, &self.comments(), json!({"body": "Fine."})).await;
    }

    /// Path of the item's comments.
    pub(crate) fn comments(&self) -> String {
        format!("{}/comments", self.item())
    }

    /// Path of the user's content item.
    pub(crate) fn item(&self) -> String {
        format!("/v1/workspaces/{}/content-items/{}", self.workspace, self.item)
    }

    /// Uploads a file and returns the status, if any.
    pub(crate) async fn upload(&self) -> Option<StatusCode> {
        let url = format!("{API}/v1/feedback-reports/{}/screenshot", self.report);
        // The inspected part of a picture.
        let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
        picture.resize(1_000, 0);
        let request = self.client.put(url).bearer_auth(&self.access_token);
        let request = request.header("content-type", "application/octet-stream").body(picture);
        request.send().await.ok().map(|answer| answer.status())
    }

    /// Downloads the last uploaded file.
    pub(crate) async fn download(&self) -> StatusCode {
        let url = format!("{API}/v1/feedback-reports/{}/screenshot", self.report);
        let answer = self.client.get(url).bearer_auth(&self.access_token).send().await;
        answer.expect("an answer").status()
    }

    /// Works until the returned value is dropped.
    pub(crate) fn work(&self) -> AtWork {
        let (user, only_reads) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let reads = only_reads.clone();
        let task = tokio::spawn(async move {
            let mut due = tokio::time::interval(EVERY);
            let mut number: u64 = 0;
            loop {
                due.tick().await;
                number += 1;
                let creates = number.is_multiple_of(CREATES) && !reads.load(Ordering::Relaxed);
                let user = user.clone();
                // An open loop: requests do not wait for earlier responses.
                tokio::spawn(async move {
                    if creates {
                        let _ = user.send(Method::POST, &user.comments(), json!({"body": "Fine."})).await;
                    } else {
                        let _ = user.send(Method::GET, "/v1/me", Value::Null).await;
                    }
                });
            }
        });
        AtWork { task, only_reads }
    }

    async fn create(&self, path: &str, body: Value) -> String {
        self.must(Method::POST, path, body).await["id"].as_str().expect("an id").to_owned()
    }

    async fn must(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, body).await.expect("an answer");
        assert!(status.is_success(), "{path}: {status}: {answer}");
        answer
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<(StatusCode, Value), reqwest::Error> {
        let answer = self.ask(method, path, body).await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Sends a request and returns the result.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> reqwest::Result<Response> {
        let send = async |api: &str| {
            let mut request = self.client.request(method.clone(), format!("{api}{path}"));
            if !self.access_token.is_empty() {
                request = request.bearer_auth(&self.access_token);
            }
            if !body.is_null() {
                request = request.json(&body);
            }
            request.send().await
        };
        // Like a proxy before both APIs.
        match send(API).await {
            Err(error) if error.is_connect() => send(SECOND_API).await,
            answer => answer,
        }
    }
}

/// The token of the link in the user's first e-mail.
fn verification_token() -> Result<String, String> {
    let entries = std::fs::read_dir(MAIL_DIRECTORY).map_err(|error| error.to_string())?;
    let letters = entries.filter_map(|entry| std::fs::read(entry.ok()?.path()).ok());
    let token = |letter: Vec<u8>| {
        let message = mail_parser::MessageParser::new().parse(&letter)?;
        message.to()?.first()?.address().filter(|address| *address == EMAIL)?;
        let text = message.body_text(0)?;
        let link = text.split_whitespace().find_map(|word| word.split_once("/verify-email#token="))?;
        Some(link.1.to_owned())
    };
    letters.filter_map(token).next().ok_or_else(|| "no e-mail with a link".to_owned())
}
