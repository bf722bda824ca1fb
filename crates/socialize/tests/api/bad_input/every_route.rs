//! Malformed requests that every route rejects. They are variations of the well-formed requests in `access`.

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};
use test_support::{Answer, TestApp};

use super::evidence::Evidence;
use crate::access::{self, Row};
use crate::world::{self, Role, World};

/// A malformed request and its expected response.
struct Spoilt {
    path: String,
    media_type: Option<&'static str>,
    body: Vec<u8>,
    status: u16,
    mentions: String,
}

#[tokio::test]
async fn every_body_is_checked() {
    let mut refused = 0;
    for_every_route(async |row, path, body| {
        let Some(body) = body else { return Vec::new() };
        let required = required_fields(row);
        let spoilt = |body: Vec<u8>, status, mentions: &str| Spoilt {
            path: path.to_owned(),
            media_type: Some("application/json"),
            body,
            status,
            mentions: mentions.to_owned(),
        };
        let text = body.to_string();
        let mut all = vec![
            spoilt(Vec::new(), 400, "not valid JSON"),
            spoilt(text[..text.len() - 1].into(), 400, "not valid JSON"),
            spoilt(format!("{text}canary").into(), 400, "not valid JSON"),
            spoilt([text.as_bytes(), b"\xff"].concat(), 400, "not valid JSON"),
            spoilt(format!("[{text}]").into(), 422, "object"),
            spoilt(format!("{text}{}", " ".repeat(64 << 10)).into(), 413, "65536"),
            spoilt(with(&body, "canary", json!(1)), 422, "expected"),
            Spoilt { media_type: None, ..spoilt(text.clone().into(), 415, "application/json") },
            Spoilt { media_type: Some("text/plain"), ..spoilt(text.clone().into(), 415, "application/json") },
        ];
        for (field, value) in body.as_object().expect("an object") {
            let duplicate = format!(r#"{{"{field}": {value}, {}"#, &text[1..]);
            all.push(spoilt(duplicate.into(), 422, field));
            all.push(spoilt(with(&body, field, json!({"canary": 1})), 422, field));
            all.push(spoilt(with(&body, field, json!(["canary"])), 422, field));
            if required.contains(field) {
                all.push(spoilt(with(&body, field, Value::Null), 422, field));
                let mut without = body.clone();
                without.as_object_mut().expect("an object").remove(field);
                all.push(spoilt(without.to_string().into(), 422, field));
            }
        }
        refused += all.len();
        all
    })
    .await;
    assert!(refused > 300, "only {refused} requests");
}

#[tokio::test]
async fn every_id_and_query_parameter_is_checked() {
    let mut refused = 0;
    for_every_route(async |row, path, body| {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let spoilt = |path: String, status, mentions: &str| Spoilt {
            path,
            media_type: Some("application/json"),
            body: body.clone(),
            status,
            mentions: mentions.to_owned(),
        };
        let mut all = Vec::new();
        let segments: Vec<&str> = path.split('/').collect();
        for (position, name) in row.path.split('/').enumerate() {
            if name.starts_with('{') {
                for id in ["canary", "%00", "%ff", "0", "018f3f5e7c1a7b3a9d2e0123456789ab"] {
                    let mut segments = segments.clone();
                    segments[position] = id;
                    all.push(spoilt(segments.join("/"), 404, ""));
                }
            }
        }
        let parameters = query_parameters(row);
        for name in &parameters {
            for value in ["canary", "", "%00", "%ff", "-1", "%F0%9F%A6%9C"] {
                all.push(spoilt(format!("{path}?{name}={value}"), 400, ""));
            }
            all.push(spoilt(format!("{path}?{name}=1&{name}=1"), 400, name));
        }
        if !parameters.is_empty() {
            all.push(spoilt(format!("{path}?canary=1"), 400, &parameters[0]));
        }
        refused += all.len();
        all
    })
    .await;
    assert!(refused > 300, "only {refused} requests");
}

/// Applies the variations of `spoil` to every route, and asserts each response.
async fn for_every_route(mut spoil: impl AsyncFnMut(&Row, &str, Option<Value>) -> Vec<Spoilt>) {
    let test = TestApp::start_with_settings(world::without_rate_limits).await;
    let mut mistakes = Vec::new();
    for row in access::rows() {
        let world = World::new(&test, row.item_status).await;
        let role = row.allowed_role();
        let path = world.fill(row.path, role).await;
        let body = match row.body {
            "" | access::PICTURE => None,
            body => Some(serde_json::from_str(&world.fill(body, role).await).expect("a JSON body")),
        };
        for spoilt in spoil(&row, &path, body).await {
            let evidence = Evidence::before_a_request(&test).await;
            let answer = send(&world, role, &row, &spoilt).await;
            let shown = || format!("{} {} {}", row.method, spoilt.path, shortened(&spoilt.body));
            let message = answer.body["message"].as_str().unwrap_or_default();
            if answer.status.as_u16() != spoilt.status || !message.contains(&spoilt.mentions) {
                let expected = format!("{} …{}…", spoilt.status, spoilt.mentions);
                mistakes.push(format!("{}: {} {} and not {expected}", shown(), answer.status, answer.body));
            }
            let traces = evidence.traces(&answer).await;
            mistakes.extend(traces.into_iter().map(|trace| format!("{}: {trace}", shown())));
        }
    }
    assert!(mistakes.is_empty(), "{} mistakes:\n{}", mistakes.len(), mistakes.join("\n"));
}

async fn send(world: &World<'_>, role: Role, row: &Row, spoilt: &Spoilt) -> Answer {
    let mut request = Request::builder().method(&row.method).uri(&spoilt.path).header(header::IF_MATCH, "*");
    if let Some(caller) = world.caller(role) {
        let token = world.test.access_token(caller);
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    if let Some(media_type) = spoilt.media_type {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    world.test.send(request.body(Body::from(spoilt.body.clone())).expect("a request")).await
}

fn with(body: &Value, field: &str, value: Value) -> Vec<u8> {
    let mut body = body.clone();
    body.as_object_mut().expect("an object").insert(field.to_owned(), value);
    body.to_string().into_bytes()
}

fn shortened(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(100).collect()
}

fn documented(row: &Row) -> (Value, Value) {
    let document = serde_json::to_value(socialize::run::router::document()).expect("a document");
    let operation = document["paths"][row.path][row.method.as_str().to_ascii_lowercase()].clone();
    (document, operation)
}

/// The required fields of a body, by the document.
fn required_fields(row: &Row) -> Vec<String> {
    let (document, operation) = documented(row);
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let pointer =
        schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')).expect("a reference");
    let schema = document.pointer(pointer).expect("a schema");
    let required = schema["required"].as_array().into_iter().flatten();
    required.map(|field| field.as_str().expect("a name").to_owned()).collect()
}

fn query_parameters(row: &Row) -> Vec<String> {
    let (_, operation) = documented(row);
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let queried = parameters.filter(|parameter| parameter["in"] == "query");
    // Free-text parameters cannot be malformed, apart from file names, which `table` covers.
    let typed = queried.filter(|parameter| parameter["name"] != "file_name");
    typed.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
}
