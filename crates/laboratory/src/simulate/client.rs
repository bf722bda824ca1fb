//! The HTTP client of simulated people.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;
use socialize::platform::secret::Secret;
use socialize::platform::version::VERSION;
use uuid::Uuid;

use super::target::Target;

/// Longer than Socialize's own time limits, so that the server always times out first.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A request to be sent.
pub(super) struct Request {
    pub method: Method,
    /// Path below the target's base URL.
    pub path: String,
    pub access_token: Option<Secret>,
    /// The version that the request expects to change.
    pub if_match: Option<String>,
    /// Set for requests that create something.
    pub idempotency_key: Option<Uuid>,
    pub body: Option<Value>,
    /// A body that is a file; it takes precedence over JSON.
    pub file: Option<Vec<u8>>,
}

impl Request {
    /// Builds a `GET` request.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            access_token: None,
            if_match: None,
            idempotency_key: None,
            body: None,
            file: None,
        }
    }

    /// Builds a `POST` request.
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// Builds a `POST` request without a body.
    pub(super) fn act(path: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    /// Builds a request that uploads a file.
    pub(super) fn upload(method: Method, path: impl Into<String>, file: Vec<u8>) -> Self {
        Self { method, file: Some(file), ..Self::get(path) }
    }

    /// Builds a `PUT` request.
    pub(super) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, body: Some(body), ..Self::get(path) }
    }

    /// Builds a `PATCH` request.
    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, body: Some(body), ..Self::get(path) }
    }
}

/// A response whose body has been read.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    /// The version of the returned resource.
    pub etag: Option<String>,
    /// The requested pause before the next attempt.
    pub retry_after: Option<Duration>,
    /// The JSON body; `Null` if there is none.
    pub body: Value,
}

/// Reasons for getting no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection was refused.
    Connect,
    /// The request timed out.
    Timeout,
    /// The connection broke, or the response was not HTTP.
    Broken,
}

/// A request's result and duration.
pub(super) struct Exchange {
    pub answered: Result<Answer, Failure>,
    pub took: Duration,
}

/// The connections of one team.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// Creates the client of the team with this number. Each team calls from its own loopback
    /// address, as real customers do from theirs, because Socialize limits requests per address.
    ///
    /// # Errors
    /// Returns an error if the platform's certificates cannot be used.
    pub(super) fn new(target: &Target, team: u64) -> reqwest::Result<Self> {
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(format!("socialize-simulate/{VERSION}"))
            // Always call the address that was checked, even if the name resolves to another one by
            // now.
            .resolve_to_addrs(target.host(), target.addresses());
        if target.is_ipv4_loopback() {
            builder = builder.local_address(loopback_address(team));
        }
        Ok(Self { http: builder.build()?, base: target.base().to_owned() })
    }

    /// Sends a request and reads the whole response.
    pub(super) async fn send(&self, request: Request) -> Exchange {
        let started = Instant::now();
        let answered = self.exchange(request).await.map_err(|error| match error {
            error if error.is_timeout() => Failure::Timeout,
            error if error.is_connect() => Failure::Connect,
            _ => Failure::Broken,
        });
        Exchange { answered, took: started.elapsed() }
    }

    async fn exchange(&self, request: Request) -> reqwest::Result<Answer> {
        let mut builder = self.http.request(request.method, format!("{}{}", self.base, request.path));
        if let Some(token) = &request.access_token {
            builder = builder.bearer_auth(token.expose());
        }
        if let Some(etag) = &request.if_match {
            builder = builder.header(header::IF_MATCH, etag);
        }
        if let Some(key) = request.idempotency_key {
            builder = builder.header("idempotency-key", key.to_string());
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        if let Some(file) = request.file {
            builder = builder.header(header::CONTENT_TYPE, "application/octet-stream").body(file);
        }
        let response = builder.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await?;
        Ok(Answer {
            status,
            etag: text(&headers, header::ETAG),
            retry_after: text(&headers, header::RETRY_AFTER)
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        })
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Returns an address from 127.16.0.1 to 127.143.255.254. All addresses that begin with 127 lead to
/// this machine.
fn loopback_address(team: u64) -> IpAddr {
    let [.., high, middle, low] = team.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 16 + high % 128, middle, 1 + low % 254))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn teams_call_from_addresses_of_their_own() {
        let addresses: HashSet<IpAddr> = (0..250).map(loopback_address).collect();
        assert_eq!(addresses.len(), 250);
        for team in [0, 255, 256, u64::MAX] {
            assert!(loopback_address(team).is_loopback());
        }
    }
}
