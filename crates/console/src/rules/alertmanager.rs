//! Delivery of notifications to an Alertmanager by HTTP.

use std::pin::pin;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::engine::RuleEngine;

/// Deadline of a request, from the connection to the response.
const DEADLINE: Duration = Duration::from_secs(10);

/// Base address of an Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanager {
    /// Host and port to connect to.
    connect_to: String,
    /// Value of the header `Host`.
    authority: String,
    path: String,
}

impl Alertmanager {
    /// Reads a base address, such as `http://127.0.0.1:9093`.
    ///
    /// # Errors
    /// Returns a sentence that says what would be right.
    pub fn new(base: &Uri) -> Result<Self, String> {
        let problem = |what: &str| format!("{what}; http://127.0.0.1:9093 would be right.");
        match base.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(problem("the console has no TLS for the Alertmanager: use a proxy on this host"));
            }
            _ => return Err(problem("the address of the Alertmanager begins with http://")),
        }
        let authority =
            base.authority().ok_or_else(|| problem("the address of the Alertmanager has no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem("user and password of the Alertmanager are not supported"));
        }
        if base.query().is_some() {
            return Err(problem("the address of the Alertmanager has no query"));
        }
        Ok(Self {
            connect_to: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            authority: authority.to_string(),
            path: format!("{}/api/v2/alerts", base.path().trim_end_matches('/')),
        })
    }

    /// Sends the due notifications, in several requests if necessary. The engine is not locked while it
    /// sends.
    pub async fn deliver(&self, engine: &RwLock<RuleEngine>, now: i64) {
        loop {
            let Some(batch) = engine.write().unwrap_or_else(PoisonError::into_inner).take_notifications(now)
            else {
                return;
            };
            let result = match tokio::time::timeout(DEADLINE, self.post(batch)).await {
                Ok(result) => result,
                Err(_) => Err(format!("it did not respond within {} s", DEADLINE.as_secs())),
            };
            let failed = result.is_err();
            engine.write().unwrap_or_else(PoisonError::into_inner).finish_notifications(result, now);
            if failed {
                return;
            }
        }
    }

    async fn post(&self, batch: String) -> Result<(), String> {
        let stream = TcpStream::connect(&self.connect_to)
            .await
            .map_err(|error| format!("it cannot be reached: {error}"))?;
        let failed = |error: &dyn std::error::Error| format!("the request failed: {error}");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Body::from(batch))
            .map_err(|error| failed(&error))?;
        let response = async {
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            match response.status() {
                status if status.is_success() => Ok(()),
                StatusCode::NOT_FOUND => Err("it responded with 404: is this an Alertmanager?".to_owned()),
                status => Err(format!("it responded with {}", status.as_u16())),
            }
        };
        // The connection makes progress only while it is polled. It can end before the response is read.
        let mut response = pin!(response);
        tokio::select! {
            biased;
            response = &mut response => response,
            _ = connection => response.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let read = |text: &str| Alertmanager::new(&text.parse().expect("an address"));
        let address = read("http://127.0.0.1:9093/am/").expect("an address");
        assert_eq!(
            (address.connect_to.as_str(), address.path.as_str()),
            ("127.0.0.1:9093", "/am/api/v2/alerts")
        );
        assert_eq!(read("http://alerts").expect("an address").connect_to, "alerts:80");
        assert_eq!(read("http://[::1]:9093").expect("an address").connect_to, "[::1]:9093");
        for wrong in ["https://a:9093", "ftp://a", "/path", "http://user:x@a:9093", "http://a/?b=c"] {
            let error = read(wrong).expect_err(wrong);
            assert!(error.contains("http://127.0.0.1:9093 would be right"), "{error}");
        }
    }
}
