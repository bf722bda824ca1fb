//! Calls every route of the OpenAPI document, correctly and wrongly, with a marker in every text.
//!
//! Long because each route needs its own arguments.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Map, Value, json};

use super::markers::Markers;
use super::peers::Peers;
use crate::application::API;

const PNG: &[u8] = b"\x89PNG\r\n\
                     \x1a\n\
                     \0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
                     \0\0\0\rIDATx\x9cc\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\
                     \0\0\0\0IEND\xaeB`\x82";

const ITEMS: &str = "/v1/workspaces/{workspace_id}/content-items";

/// A user with an account.
pub(crate) struct Person {
    pub(crate) email: String,
    password: String,
    token: String,
    refresh_token: String,
    id: String,
}

/// A route of the document.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// With names in braces.
    pub(crate) path: String,
    /// Its definition in the document.
    description: Value,
}

impl Route {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn parameters(&self, place: &str) -> Vec<&str> {
        let parameters = self.description["parameters"].as_array().into_iter().flatten();
        let here = parameters.filter(|parameter| parameter["in"] == place);
        here.filter_map(|parameter| parameter["name"].as_str()).collect()
    }

    /// Schema of its JSON body.
    fn schema(&self) -> Option<&Value> {
        self.description.pointer("/requestBody/content/application~1json/schema")
    }

    fn takes_file(&self) -> bool {
        self.description.pointer("/requestBody/content/application~1octet-stream").is_some()
    }
}

/// Values that a route needs to succeed, besides markers.
#[derive(Clone, Default)]
pub(crate) struct Prepared {
    token: Option<String>,
    /// Values of the names in its path.
    path: BTreeMap<&'static str, String>,
    /// Fields of its body that cannot be arbitrary text.
    fields: Map<String, Value>,
}

/// A request to send.
struct Sent {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(crate) struct Walk<'a> {
    pub(crate) client: &'a Client,
    pub(crate) markers: &'a Markers,
    pub(crate) peers: &'a Peers,
    document: Value,
    owner: Person,
    /// Becomes a platform operator.
    pub(crate) operator: Person,
    organization: String,
    workspace: String,
}

/// Statuses of responses, by the route's name.
pub(crate) type Answers = BTreeMap<String, BTreeSet<u16>>;

impl<'a> Walk<'a> {
    pub(crate) async fn begin(client: &'a Client, markers: &'a Markers, peers: &'a Peers) -> Self {
        let url = format!("{API}/openapi.json");
        let document = client.get(url).send().await.expect("an answer").json().await.expect("the document");
        let nobody = || Person {
            email: String::new(),
            password: String::new(),
            token: String::new(),
            refresh_token: String::new(),
            id: String::new(),
        };
        let mut walk = Self {
            client,
            markers,
            peers,
            document,
            owner: nobody(),
            operator: nobody(),
            organization: String::new(),
            workspace: String::new(),
        };
        walk.owner = walk.person("owner").await;
        walk.operator = walk.person("operator").await;
        let name = json!({"name": markers.at("name of the organization")});
        walk.organization = walk.make("POST", "/v1/organizations", name).await;
        let workspace = json!({
            "name": markers.at("name of the workspace"), "required_approvals": 1, "allow_self_approval": true,
        });
        let path = format!("/v1/organizations/{}/workspaces", walk.organization);
        walk.workspace = walk.make("POST", &path, workspace).await;
        walk
    }

    pub(crate) fn routes(&self) -> Vec<Route> {
        let paths = self.document["paths"].as_object().expect("paths");
        let each = paths.iter().flat_map(|(path, routes)| {
            routes.as_object().expect("routes").iter().map(|(method, description)| Route {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                description: description.clone(),
            })
        });
        each.collect()
    }

    /// Sends a correct request and returns the status.
    pub(crate) async fn right(&self, route: &Route, prepared: &Prepared) -> u16 {
        self.send(self.well_formed(route, prepared)).await.0
    }

    /// Sends it in several wrong ways.
    pub(crate) async fn wrong(&self, route: &Route, prepared: &Prepared) -> BTreeSet<u16> {
        let name = route.name();
        let marker = |place: &str| self.markers.at(format!("{place} of {name}, wrong"));
        let mut all = Vec::new();
        let mut spoil = |change: &mut dyn FnMut(&mut Sent)| {
            let mut sent = self.well_formed(route, prepared);
            change(&mut sent);
            all.push(sent);
        };
        for parameter in route.parameters("query") {
            spoil(&mut |sent| {
                let (path, _) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
                sent.target = format!("{path}?{parameter}={}%00", marker("query"));
            });
        }
        spoil(&mut |sent| sent.target = format!("{}?{1}={1}", sent.target, marker("query")));
        spoil(&mut |sent| sent.target = format!("{}/{}", sent.target, marker("path")));
        for parameter in route.parameters("path") {
            spoil(&mut |sent| {
                let mut prepared = prepared.clone();
                prepared.path.retain(|name, _| *name != parameter);
                let path = self.path(route, &prepared);
                sent.target = path.replace(&format!("{{{parameter}}}"), &marker("path"));
            });
        }
        spoil(&mut |sent| sent.method = marker("method").parse().expect("a method"));
        for scheme in ["Bearer ", "Basic ", ""] {
            spoil(&mut |sent| {
                sent.headers.retain(|(name, _)| name != "authorization");
                sent.headers
                    .push(("authorization".to_owned(), format!("{scheme}{}", marker("authorization"))));
            });
        }
        for header in route.parameters("header").into_iter().chain(["content-type", "traceparent", "range"]) {
            spoil(&mut |sent| {
                sent.headers.retain(|(name, _)| name != header);
                sent.headers.push((header.to_owned(), format!("{} with spaces", marker(header))));
            });
        }
        spoil(&mut |sent| {
            let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            sent.headers.push(("traceparent".to_owned(), traceparent.to_owned()));
            sent.headers.push(("tracestate".to_owned(), format!("rojo={}", marker("tracestate"))));
        });
        if route.takes_file() {
            spoil(&mut |sent| sent.body = marker("file").into_bytes());
            spoil(&mut |sent| sent.body = format!("<svg>{}</svg>", marker("file")).into_bytes());
        }
        if let Some(schema) = route.schema() {
            spoil(&mut |sent| sent.body.truncate(sent.body.len() - 1));
            spoil(&mut |sent| sent.body = format!("\"{}\"", marker("body")).into_bytes());
            spoil(&mut |sent| sent.body = format!("{{\"a\": {}", marker("body")).into_bytes());
            let body = self.body(route, schema, prepared);
            let mut with = |field: &str, value: Value| {
                spoil(&mut |sent| {
                    let mut body = body.clone();
                    body.insert(field.to_owned(), value.clone());
                    sent.body = Value::Object(body).to_string().into_bytes();
                });
            };
            with(&marker("name of a field"), json!(marker("unknown field")));
            for field in body.keys() {
                with(field, json!({marker("name of a field"): marker("object")}));
                with(field, json!([marker("list")]));
                with(field, json!(format!("{}\u{0}@example.com", marker("text"))));
                with(field, json!(format!("{}{}", marker("long text"), "x".repeat(11_000))));
            }
        }
        let mut statuses = BTreeSet::new();
        for sent in all {
            statuses.insert(self.send(sent).await.0);
        }
        statuses
    }

    /// Sends correct requests of all routes.
    pub(crate) async fn all_at_once(&self, all: &[(Route, Prepared)]) -> Answers {
        let answers = all.iter().map(async |(route, prepared)| {
            (route.name(), BTreeSet::from([self.right(route, prepared).await]))
        });
        join_all(answers).await.into_iter().collect()
    }

    /// Creates the object of the route.
    pub(crate) async fn prepare(&self, route: &Route) -> Prepared {
        let mut prepared = Prepared { token: Some(self.owner.token.clone()), ..Prepared::default() };
        let path = &route.path;
        if path.contains("{organization_id}") {
            prepared.path.insert("organization_id", self.organization.clone());
        }
        if path.contains("{workspace_id}") {
            prepared.path.insert("workspace_id", self.workspace.clone());
        }
        if path.contains("{content_item_id}") {
            // Scheduling and publishing require an endpoint.
            self.put_endpoint("ours").await;
            let item = self.content_item(path.rsplit('/').next().unwrap_or_default()).await;
            let of_item = |rest: &str| self.fill(&format!("{ITEMS}/{item}/{rest}"));
            if path.contains("{comment_id}") {
                let comment = json!({"body": self.markers.at("comment")});
                prepared.path.insert("comment_id", self.make("POST", &of_item("comments"), comment).await);
            }
            if path.contains("{attachment_id}") {
                prepared.path.insert("attachment_id", self.upload("POST", &of_item("attachments")).await);
            }
            prepared.path.insert("content_item_id", item);
        }
        if path.contains("{invite_id}") {
            let email = format!("{}@example.com", self.markers.at("invited address"));
            prepared.path.insert("invite_id", self.invite(&email).await);
        }
        if path.contains("{user_id}") {
            prepared.path.insert("user_id", self.member().await.id);
        }
        if path.contains("{feedback_report_id}") {
            let report = json!({"kind": "bug", "body": self.markers.at("feedback report")});
            let id = self.make("POST", "/v1/feedback-reports", report).await;
            self.upload("PUT", &format!("/v1/feedback-reports/{id}/screenshot")).await;
            prepared.path.insert("feedback_report_id", id);
        }
        let is_operators = path.starts_with("/v1/feedback-reports")
            && !path.ends_with("/mine")
            && !path.ends_with("/screenshot")
            && route.method != Method::POST;
        if is_operators {
            prepared.token = Some(self.operator.token.clone());
        }
        if path.ends_with("/publishing-endpoint") || path.ends_with("/rotate-secret") {
            self.put_endpoint("ours").await;
        }
        if route.method == Method::DELETE {
            self.prepare_deletion(route, &mut prepared).await;
        }
        self.prepare_fields(route, &mut prepared).await;
        prepared
    }

    /// Creates separate objects, so that they can be deleted.
    async fn prepare_deletion(&self, route: &Route, prepared: &mut Prepared) {
        match route.path.as_str() {
            "/v1/workspaces/{workspace_id}" => {
                let name = self.markers.at("name of a workspace to delete");
                let workspace = json!({"name": name, "required_approvals": 1});
                let path = format!("/v1/organizations/{}/workspaces", self.organization);
                prepared.path.insert("workspace_id", self.make("POST", &path, workspace).await);
            }
            "/v1/organizations/{organization_id}" => {
                let name = json!({"name": self.markers.at("name of an organization to delete")});
                prepared.path.insert("organization_id", self.make("POST", "/v1/organizations", name).await);
            }
            "/v1/me" => {
                let person = self.person("leave").await;
                prepared.fields.insert("email".to_owned(), json!(person.email));
                prepared.token = Some(person.token);
            }
            _ => {}
        }
    }

    /// Fields that cannot be arbitrary text, because they are looked up.
    async fn prepare_fields(&self, route: &Route, prepared: &mut Prepared) {
        let mut set = |field: &str, value: &str| prepared.fields.insert(field.to_owned(), json!(value));
        match route.path.as_str() {
            "/v1/auth/login" => {
                let person = self.person("log in").await;
                set("email", &person.email);
                set("password", &person.password);
            }
            "/v1/auth/refresh" | "/v1/auth/logout" => {
                set("refresh_token", &self.person("refresh").await.refresh_token);
            }
            "/v1/auth/verify-email" => {
                let (email, _) = self.register("verify").await;
                set("token", &self.peers.token(&email, 1).await);
            }
            "/v1/auth/reset-password" => {
                let person = self.person("reset").await;
                let body = json!({"email": person.email}).to_string();
                let sent = self.request("POST", "/v1/auth/request-password-reset", None, body);
                self.expect(sent).await;
                set("token", &self.peers.token(&person.email, 2).await);
            }
            "/v1/invites/accept" => {
                let person = self.person("accept").await;
                self.invite(&person.email).await;
                set("token", &self.peers.token(&person.email, 2).await);
                prepared.token = Some(person.token);
            }
            "/v1/workspaces/{workspace_id}/members" => {
                let member = self.member().await;
                set("user_id", &member.id);
                let path = self.fill(&format!("/v1/workspaces/{{workspace_id}}/members/{}", member.id));
                self.expect(self.request("DELETE", &path, Some(&self.owner.token), String::new())).await;
            }
            "/v1/workspaces/{workspace_id}/publishing-endpoint" => {
                let marker = self.markers.at("URL of a publishing endpoint");
                set("url", &format!("{}/{marker}?{marker}={marker}", self.peers.publishing));
            }
            _ => {}
        }
    }

    pub(crate) async fn put_endpoint(&self, path: &str) {
        let url = format!("{}/{path}/{}", self.peers.publishing, self.markers.at("path of the endpoint"));
        let endpoint = self.fill("/v1/workspaces/{workspace_id}/publishing-endpoint");
        let body = json!({"url": url}).to_string();
        self.expect(self.request("PUT", &endpoint, Some(&self.owner.token), body)).await;
    }

    /// An item that is about to be published now, and its endpoint's path.
    pub(crate) async fn publish(&self, path: &str) {
        self.put_endpoint(path).await;
        let item = self.content_item("publish").await;
        let path = self.fill(&format!("{ITEMS}/{item}/publish"));
        self.expect(self.request("POST", &path, Some(&self.owner.token), String::new())).await;
    }

    /// An item in the status that this step requires.
    async fn content_item(&self, step: &str) -> String {
        let draft = json!({
            "channel": "linkedin", "title": self.markers.at("title"), "body": self.markers.at("body of an item"),
        });
        let item = self.make("POST", &self.fill(ITEMS), draft).await;
        let act = async |what: &str, body: Value| {
            let path = self.fill(&format!("{ITEMS}/{item}/{what}"));
            self.expect(self.request("POST", &path, Some(&self.owner.token), body.to_string())).await;
        };
        let decided = ["schedule", "unschedule", "publish", "mark-published"].contains(&step);
        if decided || step == "decisions" {
            act("submit", Value::Null).await;
        }
        if decided {
            let note = self.markers.at("note");
            act("decisions", json!({"decision": "approve", "revision": 1, "note": note})).await;
        }
        if step == "unschedule" {
            act("schedule", json!({"scheduled_at": tomorrow()})).await;
        }
        item
    }

    /// Creates a user who can log in.
    pub(crate) async fn person(&self, who: &str) -> Person {
        let (email, password) = self.register(who).await;
        let token = json!({"token": self.peers.token(&email, 1).await}).to_string();
        self.expect(self.request("POST", "/v1/auth/verify-email", None, token)).await;
        let mut person =
            Person { email, password, token: String::new(), refresh_token: String::new(), id: String::new() };
        self.log_in(&mut person).await;
        person
    }

    pub(crate) async fn log_in(&self, person: &mut Person) {
        let body = json!({"email": person.email, "password": person.password}).to_string();
        let tokens = self.expect(self.request("POST", "/v1/auth/login", None, body)).await;
        person.token = tokens["access_token"].as_str().expect("a token").to_owned();
        person.refresh_token = tokens["refresh_token"].as_str().expect("a token").to_owned();
        let me = self.expect(self.request("GET", "/v1/me", Some(&person.token), String::new())).await;
        person.id = me["id"].as_str().expect("an id").to_owned();
    }

    async fn register(&self, who: &str) -> (String, String) {
        let email = format!("{}@example.com", self.markers.at(format!("address to {who}")));
        let password = self.markers.at(format!("password to {who}"));
        self.register_as(&email, &password).await;
        (email, password)
    }

    pub(crate) async fn register_as(&self, email: &str, password: &str) {
        let name = self.markers.at("display name");
        let body = json!({"email": email, "password": password, "display_name": name}).to_string();
        self.expect(self.request("POST", "/v1/auth/register", None, body)).await;
    }

    /// Creates a user who has accepted an invite to the workspace.
    async fn member(&self) -> Person {
        let person = self.person("become a member").await;
        self.invite(&person.email).await;
        let token = json!({"token": self.peers.token(&person.email, 2).await}).to_string();
        self.expect(self.request("POST", "/v1/invites/accept", Some(&person.token), token)).await;
        person
    }

    async fn invite(&self, email: &str) -> String {
        let path = self.fill("/v1/workspaces/{workspace_id}/invites");
        self.make("POST", &path, json!({"email": email, "role": "author"})).await
    }

    /// Creates an object as the owner, and returns its id.
    pub(crate) async fn make(&self, method: &str, path: &str, body: Value) -> String {
        let made = self.expect(self.request(method, path, Some(&self.owner.token), body.to_string())).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Makes the leaking build panic, and returns the status.
    pub(crate) async fn cause_panic(&self, organization: &str, words: &str) -> u16 {
        let path = format!("/v1/organizations/{organization}");
        let body = json!({"name": words}).to_string();
        self.send(self.request("PATCH", &path, Some(&self.owner.token), body)).await.0
    }

    pub(crate) async fn upload(&self, method: &str, path: &str) -> String {
        let made = self.expect(self.file(method, path)).await;
        made["id"].as_str().unwrap_or_default().to_owned()
    }

    fn file(&self, method: &str, path: &str) -> Sent {
        let mut sent = self.request(method, path, Some(&self.owner.token), String::new());
        sent.headers.push(("if-match".to_owned(), "*".to_owned()));
        sent.body = [PNG, self.markers.at("file").as_bytes()].concat();
        sent
    }

    fn fill(&self, path: &str) -> String {
        path.replace("{organization_id}", &self.organization).replace("{workspace_id}", &self.workspace)
    }

    fn request(&self, method: &str, path: &str, token: Option<&str>, body: String) -> Sent {
        let mut headers = Vec::new();
        if let Some(token) = token {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let method = method.parse().expect("a method");
        Sent { method, target: path.to_owned(), headers, body: body.into_bytes() }
    }

    fn path(&self, route: &Route, prepared: &Prepared) -> String {
        let filled = prepared.path.iter();
        filled.fold(route.path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
    }

    fn well_formed(&self, route: &Route, prepared: &Prepared) -> Sent {
        let place = |what: &str| format!("{what} of {}", route.name());
        let path = self.path(route, prepared);
        let mut sent = self.request(route.method.as_str(), &path, prepared.token.as_deref(), String::new());
        let queries = route.parameters("query");
        if queries.contains(&"file_name") {
            sent.target.push_str(&format!("?file_name={}.png", self.markers.at(place("file name"))));
        } else if queries.is_empty() {
            // An unknown parameter that is ignored.
            sent.target.push_str(&format!("?{0}={0}", self.markers.at(place("query"))));
        }
        for header in route.parameters("header") {
            let value = match header {
                "if-match" => "*".to_owned(),
                _ => self.markers.at(place(header)),
            };
            sent.headers.push((header.to_owned(), value));
        }
        if route.takes_file() {
            sent.body = [PNG, self.markers.at(place("file")).as_bytes()].concat();
        } else if let Some(schema) = route.schema() {
            sent.body = Value::Object(self.body(route, schema, prepared)).to_string().into_bytes();
        }
        sent
    }

    /// A body with a marker in every text that is not looked up.
    fn body(&self, route: &Route, schema: &Value, prepared: &Prepared) -> Map<String, Value> {
        let schema = self.resolve(schema);
        let fields = schema["properties"].as_object().expect("an object");
        let value = |(field, schema): (&String, &Value)| {
            let value = match prepared.fields.get(field) {
                Some(value) => value.clone(),
                None => self.value(&format!("{field} of {}", route.name()), field, self.resolve(schema))?,
            };
            Some((field.clone(), value))
        };
        fields.iter().filter_map(value).collect()
    }

    fn value(&self, place: &str, field: &str, schema: &Value) -> Option<Value> {
        if let Some(members) = schema["enum"].as_array() {
            let last = field == "role" || field == "channel";
            let second = field == "status";
            return members.get(if last { members.len() - 1 } else { usize::from(second) }).cloned();
        }
        let marker = || self.markers.at(place.to_owned());
        let is = |name: &str| {
            schema["type"] == name
                || schema["type"].as_array().is_some_and(|names| names.contains(&json!(name)))
        };
        if field == "email" {
            return Some(json!(format!("{}@example.com", marker())));
        }
        match schema["format"].as_str() {
            Some("date-time") => return Some(json!(tomorrow())),
            Some("uuid") => return None,
            _ => {}
        }
        if is("string") {
            // With characters that encodings escape, if arbitrary text is allowed.
            let around = if field == "password" { "" } else { " \"é\\/&\" " };
            return Some(json!(format!("{}{around}", marker())));
        }
        if is("boolean") {
            return Some(json!(true));
        }
        is("integer").then(|| json!(1))
    }

    /// Resolves a reference; of alternatives, takes the non-null one.
    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let found = self.document.pointer(reference.trim_start_matches('#'));
            return self.resolve(found.unwrap_or_else(|| panic!("{reference} is not in the document")));
        }
        match schema["oneOf"].as_array() {
            Some(choices) => {
                let choice = choices.iter().find(|choice| choice["type"] != "null");
                self.resolve(choice.expect("something that is not null"))
            }
            None => schema,
        }
    }

    /// Sends a request that must succeed, and returns the response body.
    async fn expect(&self, sent: Sent) -> Value {
        let shown = format!("{} {}", sent.method, sent.target);
        let (status, body) = self.send(sent).await;
        assert!((200..300).contains(&status), "{shown}: {status} {body}");
        body
    }

    /// Sends it with markers in every header that clients and proxies set.
    async fn send(&self, sent: Sent) -> (u16, Value) {
        let marker = |what: &str| {
            let path = sent.target.split('?').next().unwrap_or_default();
            self.markers.at(format!("{what} of a request to {} {path}", sent.method))
        };
        let mut request = self.client.request(sent.method.clone(), format!("{API}{}", sent.target));
        let url = |marker: String| format!("https://{marker}.example.com/{marker}?{marker}={marker}");
        for (name, value) in [
            ("cookie", format!("session={}; {}=1", marker("cookie"), marker("name of a cookie"))),
            ("user-agent", format!("{}/1.0", marker("user-agent"))),
            ("referer", url(marker("referer"))),
            ("origin", format!("https://{}.example.com", marker("origin"))),
            ("accept-language", marker("accept-language")),
            ("x-forwarded-for", marker("x-forwarded-for")),
            ("x-forwarded-host", format!("{}.example.com", marker("x-forwarded-host"))),
            ("forwarded", format!("for={}", marker("forwarded"))),
            ("x-request-id", marker("x-request-id")),
            ("tracestate", format!("vendor={}", marker("tracestate"))),
            ("baggage", format!("customer={}", marker("baggage"))),
            ("host", format!("{}.example.com", marker("host"))),
        ] {
            request = request.header(name, value);
        }
        request = request.header(format!("x-{}", marker("name of a header")), marker("header"));
        for (name, value) in &sent.headers {
            request = request.header(name, value);
        }
        let answer = request.body(sent.body).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{} {}: {error:?}", sent.method, sent.target));
        let status = answer.status().as_u16();
        let text = answer.bytes().await.unwrap_or_default();
        (status, serde_json::from_slice(&text).unwrap_or_default())
    }
}

fn tomorrow() -> String {
    #[expect(clippy::disallowed_methods, reason = "the application has the real clock, too")]
    (Utc::now() + TimeDelta::days(1)).to_rfc3339()
}
