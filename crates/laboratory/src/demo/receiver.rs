//! Publishing endpoint of the demo's teams. Like real endpoints it fails sometimes.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::simulate::GONE_ENDPOINT;

/// One post in this many fails at its first attempt.
const UNSTEADY: usize = 10;

/// An endpoint that serves until it is dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    posts: Arc<Mutex<Posts>>,
    serving: AbortHandle,
}

/// Posts received so far.
#[derive(Default)]
struct Posts {
    seen: HashSet<String>,
    taken: HashSet<String>,
}

impl Receiver {
    /// Listens on a loopback port.
    ///
    /// # Errors
    /// Returns an error if no port is available.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the receiver of posts")?;
        let address = listener.local_addr()?;
        let posts: Arc<Mutex<Posts>> = Arc::default();
        let router = Router::new().route("/{endpoint}", post(receive)).with_state(posts.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { address, posts, serving })
    }

    /// Base URL of the endpoints.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of distinct posts accepted.
    pub(super) fn taken(&self) -> u64 {
        lock(&self.posts).taken.len() as u64
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(
    State(posts): State<Arc<Mutex<Posts>>>,
    Path(endpoint): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(id) = headers.get("webhook-id").and_then(|id| id.to_str().ok()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if endpoint == GONE_ENDPOINT {
        return StatusCode::GONE.into_response();
    }
    let mut posts = lock(&posts);
    let is_first = posts.seen.insert(id.to_owned());
    if is_first && posts.seen.len().is_multiple_of(UNSTEADY) {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
    }
    posts.taken.insert(id.to_owned());
    StatusCode::NO_CONTENT.into_response()
}

fn lock(posts: &Mutex<Posts>) -> MutexGuard<'_, Posts> {
    posts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_post_is_taken_once_however_often_it_comes() {
        let receiver = Receiver::start().await.expect("a port");
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(
                rustls::ClientConfig::builder_with_provider(Arc::new(
                    rustls::crypto::ring::default_provider(),
                ))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
            )
            .no_proxy()
            .build()
            .expect("a client");
        let send = async |endpoint: &str, id: &str| {
            let request = client.post(format!("{}/{endpoint}", receiver.url())).header("webhook-id", id);
            request.send().await.expect("an answer").status().as_u16()
        };
        for number in 1..UNSTEADY {
            assert_eq!(send("posts", &number.to_string()).await, 204);
        }
        assert_eq!(
            (send("posts", "last").await, send("posts", "last").await, send("posts", "1").await),
            (503, 204, 204)
        );
        assert_eq!(send(GONE_ENDPOINT, "other").await, 410);
        assert_eq!(receiver.taken(), UNSTEADY as u64);
    }
}
