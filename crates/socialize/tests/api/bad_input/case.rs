//! A row of the table, and its assertions.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, header};

use crate::world::{Role, World};

/// Part of every text in the inputs; must not be recorded.
pub(super) const CANARY: &str = "canary";

/// A request and its expected response.
pub(super) struct Case {
    caller: Role,
    method: Method,
    /// May contain names in braces, which [`World::fill`] replaces.
    path: &'static str,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    pub(super) expected: Expected,
}

#[derive(Clone, Copy)]
pub(super) enum Expected {
    Nothing,
    Refused {
        status: u16,
        code: &'static str,
        /// Text that the message must contain.
        mentions: &'static str,
    },
    Accepted {
        status: u16,
        /// Field of the response that must contain `value`, if any.
        field: &'static str,
        value: &'static str,
    },
}

pub(super) fn get(path: &'static str) -> Case {
    request("GET", path)
}

pub(super) fn post(path: &'static str) -> Case {
    request("POST", path)
}

pub(super) fn patch(path: &'static str) -> Case {
    request("PATCH", path)
}

/// A request by the organization's owner.
pub(super) fn request(method: &'static str, path: &'static str) -> Case {
    let method = method.parse().expect("a method");
    Case {
        caller: Role::Owner,
        method,
        path,
        headers: Vec::new(),
        body: Vec::new(),
        expected: Expected::Nothing,
    }
}

impl Case {
    /// A body with the media type of JSON.
    pub(super) fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn by(mut self, caller: Role) -> Self {
        self.caller = caller;
        self
    }

    pub(super) fn is(mut self, status: u16, code: &'static str, mentions: &'static str) -> Self {
        self.expected = Expected::Refused { status, code, mentions };
        self
    }

    pub(super) fn accepted(mut self, status: u16, field: &'static str, value: &'static str) -> Self {
        self.expected = Expected::Accepted { status, field, value };
        self
    }

    pub(super) fn shown(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(100).collect();
        let headers = self.headers.iter().map(|(name, value)| {
            let value: String = String::from_utf8_lossy(value).chars().take(60).collect();
            format!(" {name}: {value}")
        });
        format!("{} {}{} {body}", self.method, self.path, headers.collect::<String>())
    }

    /// A value of `Authorization`, valid or not.
    pub(super) fn authorization(self, value: impl Into<Vec<u8>>) -> Self {
        self.by(Role::Anonymous).header("authorization", value)
    }

    /// Builds the request; the world creates everything that it refers to.
    pub(super) async fn request(&self, world: &World<'_>) -> Request<Body> {
        let path = world.fill(self.path, self.caller).await;
        let mut request = Request::builder().method(&self.method).uri(path);
        let headers = request.headers_mut().expect("no header is wrong yet");
        if let Some(caller) = world.caller(self.caller) {
            let token = format!("Bearer {}", world.test.access_token(caller).expose());
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&token).expect("a token"));
        }
        for (name, value) in &self.headers {
            let value = filled(world, self.caller, value).await;
            let value = HeaderValue::from_bytes(&value).expect("a value that can be sent");
            headers.append(HeaderName::from_static(name), value);
        }
        let body = filled(world, self.caller, &self.body).await;
        request.body(Body::from(body)).expect("a request")
    }

    pub(super) fn has_canary(&self) -> bool {
        let parts =
            self.headers.iter().map(|(_, value)| &value[..]).chain([&self.body[..], self.path.as_bytes()]);
        let mut texts = parts.map(String::from_utf8_lossy);
        texts.any(|text| text.contains(CANARY))
    }
}

async fn filled(world: &World<'_>, role: Role, bytes: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => world.fill(text, role).await.into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}
