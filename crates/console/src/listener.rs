//! Accepts HTTP connections within limits and closes them when the process ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Maximum time for the headers of a request to arrive, also on an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum size of a request's headers, which is also the read buffer of a connection.
const HEADER_BYTES: usize = 16 << 10;
/// Maximum number of headers of a request.
const HEADERS: usize = 64;
/// Pause after a failure to accept, such as a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum time for requests in flight once the process ends.
const END_LIMIT: Duration = Duration::from_millis(700);

/// Serves until `ended` changes or its sender is dropped, then lets requests in flight finish within a
/// short time. At most `connections` are open at once; others wait to be accepted.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    mut ended: watch::Receiver<()>,
) {
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = ended.changed() => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // The client caused the error: it broke the connection or did not send HTTP.
            let _ = connection.await;
            drop(place);
        });
    }
    // The runtime closes connections that are still open.
    let _ = tokio::time::timeout(END_LIMIT, graceful.shutdown()).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    if let Ok((stream, _)) = listener.accept().await {
        // Without it a small response may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        return Some((stream, place));
    }
    tokio::time::sleep(PAUSE).await;
    None
}
