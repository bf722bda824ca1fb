//! The OpenAPI document as a contract: every response that a test receives must be allowed by the
//! document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::body::{Body, HttpBody};
use boon::{Compiler, SchemaIndex, Schemas};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;

use crate::answer::Answer;

/// Base URL of references between schemas; nothing is fetched from there.
const DOCUMENT: &str = "https://socialize.example/openapi.json";

/// Read once, because the document is the same for every test of a process.
static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);

/// The routes that the document describes.
pub(crate) struct Contract {
    /// The routes of a path by method, matched like in the router.
    paths: matchit::Router<BTreeMap<String, Route>>,
    error_body: SchemaIndex,
    schemas: Schemas,
}

struct Route {
    /// Schema of the request's body.
    request: Option<SchemaIndex>,
    /// By status.
    responses: BTreeMap<String, Response>,
}

struct Response {
    required_headers: Vec<String>,
    /// Schema of a JSON body, if there is one.
    body: Option<SchemaIndex>,
    /// Media types of other bodies.
    media_types: BTreeSet<String>,
}

/// The request that a test sent.
pub(crate) struct Sent {
    method: Method,
    path: String,
    /// `None` if it is not JSON, or arrives in pieces.
    body: Option<Value>,
}

impl Sent {
    /// Reads the parts of a request that the contract needs. A body that arrives in pieces is not
    /// read, because the test may want it to stall or to break.
    pub(crate) async fn look_at(request: Request<Body>) -> (Self, Request<Body>) {
        let (parts, body) = request.into_parts();
        let mut sent = Self { method: parts.method.clone(), path: parts.uri.path().to_owned(), body: None };
        if body.size_hint().exact().is_none() {
            return (sent, Request::from_parts(parts, body));
        }
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
        sent.body = serde_json::from_slice(&bytes).ok();
        (sent, Request::from_parts(parts, Body::from(bytes)))
    }
}

impl Contract {
    pub(crate) fn get() -> &'static Self {
        &CONTRACT
    }

    fn read() -> Self {
        let document = serde_json::to_value(socialize::run::router::document()).expect("a document");
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(DOCUMENT, document.clone()).expect("a resource");
        let mut schemas = Schemas::new();
        let mut schema_of = |content: &Value, pointer: String| {
            let pointer = format!("{DOCUMENT}#{pointer}/content/application~1json/schema");
            let compile = || compiler.compile(&pointer, &mut schemas).expect("a schema of the document");
            content["application/json"].is_object().then(compile)
        };

        let mut paths = matchit::Router::new();
        for (template, item) in document["paths"].as_object().expect("paths") {
            let mut routes = BTreeMap::new();
            for (method, route) in item.as_object().expect("routes") {
                // In a URL's fragment a pointer is percent-encoded.
                let escaped = template.replace('/', "~1").replace('{', "%7B").replace('}', "%7D");
                let pointer = format!("/paths/{escaped}/{method}");
                let request = schema_of(&route["requestBody"]["content"], format!("{pointer}/requestBody"));
                let mut responses = BTreeMap::new();
                for (status, response) in route["responses"].as_object().expect("responses") {
                    let body = schema_of(&response["content"], format!("{pointer}/responses/{status}"));
                    let headers = response["headers"].as_object().into_iter().flatten();
                    let required = headers.filter(|(_, header)| header["required"] == true);
                    let required_headers = required.map(|(name, _)| name.clone()).collect();
                    let media_types = response["content"].as_object().into_iter().flatten();
                    let media_types = media_types.map(|(media_type, _)| media_type.clone());
                    let media_types =
                        media_types.filter(|media_type| media_type != "application/json").collect();
                    responses.insert(status.clone(), Response { required_headers, body, media_types });
                }
                routes.insert(method.to_ascii_uppercase(), Route { request, responses });
            }
            paths.insert(template, routes).expect("paths do not contradict each other");
        }
        let error_body = format!("{DOCUMENT}#/components/schemas/ErrorBody");
        let error_body = compiler.compile(&error_body, &mut schemas).expect("the schema of errors");
        Self { paths, error_body, schemas }
    }

    /// Asserts that the document allows this response to this request.
    #[track_caller]
    pub(crate) fn check(&self, sent: &Sent, answer: &Answer) {
        // The document's own pages and the health checks for load balancers are not part of the
        // API.
        if !sent.path.starts_with("/v1/") {
            return;
        }
        let shown = format!("{} {} answered {}", sent.method, sent.path, answer.status);
        assert!(answer.header("x-request-id").is_some(), "{shown} without a request id");

        let Ok(routes) = self.paths.at(&sent.path).map(|found| found.value) else {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{shown}, and no such path is documented");
            return self.check_body(self.error_body, &answer.body, &shown);
        };
        // Every `GET` can also be requested as `HEAD`.
        let method = if sent.method == Method::HEAD { &Method::GET } else { &sent.method };
        let Some(route) = routes.get(method.as_str()) else {
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{shown}, and it is not documented");
            assert_eq!(allowed_methods(&answer.headers), documented_methods(routes), "{shown}: Allow");
            return self.check_body(self.error_body, &answer.body, &shown);
        };
        let Some(response) = route.responses.get(answer.status.as_str()) else {
            panic!("{shown}, which the documentation of the route does not mention");
        };
        for name in &response.required_headers {
            assert!(answer.header(name).is_some(), "{shown} without its header {name}");
        }
        match response.body {
            _ if sent.method == Method::HEAD => {}
            None if !response.media_types.is_empty() => {
                let media_type = answer.header("content-type").unwrap_or_default();
                assert!(response.media_types.contains(media_type), "{shown} with a body of {media_type}");
            }
            None => assert!(answer.bytes.is_empty(), "{shown} with a body that is not documented"),
            Some(schema) => {
                assert_eq!(answer.header("content-type"), Some("application/json"), "{shown}");
                self.check_body(schema, &answer.body, &shown);
            }
        }
        // Clients generated from the document must be able to send everything that is accepted.
        if answer.status.is_success()
            && let (Some(schema), Some(body)) = (route.request, &sent.body)
        {
            self.check_body(schema, body, &format!("{shown} to a request"));
        }
    }

    #[track_caller]
    fn check_body(&self, schema: SchemaIndex, body: &Value, shown: &str) {
        if let Err(refusal) = self.schemas.validate(body, schema) {
            panic!("{shown} whose body is not as documented: {refusal} in {body}");
        }
    }
}

fn allowed_methods(headers: &HeaderMap) -> BTreeSet<&str> {
    let allow = headers.get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
    allow.split(',').map(str::trim).collect()
}

/// Returns the methods of a path. `GET` implies `HEAD`.
fn documented_methods(routes: &BTreeMap<String, Route>) -> BTreeSet<&str> {
    let head = routes.contains_key("GET").then_some("HEAD");
    routes.keys().map(String::as_str).chain(head).collect()
}
