//! Accepting connections: what a client may take in time and size, and how connections end with the process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use crate::unreadable::{Progress, RefusingStream, UnreadableRecorder};

/// How long a client may take to send the headers of its first request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection of HTTP/1 is kept for the next request, until the headers of that are complete. It is longer than proxies
/// keep connections that they do not use (nginx one minute, Caddy two), so that it is they who close them: a request that is sent
/// into the moment at which the server closes is lost, and one that is no `GET` is not repeated by anybody.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);
/// The most that the headers of a request may have; beyond it the answer is 431.
pub(crate) const HEADER_BYTES: usize = 16 << 10;
/// How much of too large headers is read all the same, so that the 431 has the shape of every error and leaves a record.
const READABLE_HEADER_BYTES: usize = 4 * HEADER_BYTES;
/// How often an idle client of HTTP/2 has to show that it is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long requests of HTTP/2 may take to notice that their connection has ended.
const STREAM_END_LIMIT: Duration = Duration::from_millis(500);

/// What a listener answers with.
#[derive(Clone)]
pub(crate) struct Services<S> {
    /// Requests.
    pub(crate) requests: S,
    /// Requests whose headers are too large to be looked at.
    pub(crate) headers_too_large: S,
    /// Connections that never become a request.
    pub(crate) unreadable: UnreadableRecorder,
}

/// Answers every request, such as a router.
pub(crate) trait Answering:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Answering for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// When a listener ends; each begins when the sender is dropped.
#[derive(Clone)]
pub(crate) struct End {
    /// Connections are still accepted, but each is for one request only: who keeps one open would send the next request into
    /// the moment at which it is closed.
    pub(crate) announced: watch::Receiver<()>,
    /// No connection is accepted any more.
    pub(crate) closed: watch::Receiver<()>,
}

impl End {
    fn is_announced(&self) -> bool {
        self.announced.has_changed().is_err()
    }
}

/// Accepts connections until the end, then lets those that are open finish their requests, for at most `patience`.
pub(crate) async fn accept<S: Answering>(
    listener: TcpListener,
    services: Services<S>,
    end: End,
    patience: Duration,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let streams = TaskTracker::new();
    let mut closing = Box::pin(crate::serve::until_dropped(end.closed.clone()));
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut closing => break,
        };
        match connection {
            Ok((stream, peer)) => {
                let services = services.clone();
                connections.spawn(serve_connection(
                    stream,
                    peer,
                    services,
                    end.clone(),
                    graceful.watcher(),
                    streams.clone(),
                ));
            }
            // Out of file descriptors, most likely: others must end before more can be accepted.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(patience, graceful.shutdown()).await;
    // What has not ended by now is ended here, so that it leaves its record behind before telemetry ends.
    connections.shutdown().await;
    streams.close();
    let _ = tokio::time::timeout(STREAM_END_LIMIT, streams.wait()).await;
}

async fn serve_connection<S: Answering>(
    stream: TcpStream,
    peer: SocketAddr,
    services: Services<S>,
    end: End,
    graceful: Watcher,
    streams: TaskTracker,
) {
    // Answers are small and complete; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let progress = Progress::default();
    let recorder = services.unreadable.clone();
    let stream = RefusingStream::new(stream, progress.clone(), recorder.clone());
    let reading = progress.clone();
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        reading.begin_request();
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        let is_too_large = header_bytes(request.headers()) > HEADER_BYTES;
        let answering = if is_too_large { &services.headers_too_large } else { &services.requests };
        // HTTP/2 has another way to say so, which belongs to the connection and not to an answer.
        let is_last = request.version() < Version::HTTP_2 && end.is_announced();
        let answer = answering.clone().oneshot(request);
        async move {
            let mut answer = answer.await?;
            if is_last {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = auto::Builder::new(StreamExecutor(streams));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(READABLE_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(READABLE_HEADER_BYTES as u32)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(graceful.watch(connection.into_owned()));
    // The limit above is for later requests; HTTP/2 has none.
    let ended = match tokio::time::timeout(HEADER_TIMEOUT, &mut connection).await {
        Ok(ended) => ended,
        Err(_) if progress.has_request() => connection.await,
        Err(_) => return progress.conclude(None, &recorder),
    };
    // A client broke the protocol or went away. Its requests, if any, have records of their own.
    if let Err(error) = ended {
        progress.conclude(Some(&*error), &recorder);
    }
}

/// The size of headers as HTTP/1 spells them.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// Runs the requests of an HTTP/2 connection, of which there are many at once.
#[derive(Clone)]
struct StreamExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}
