//! Accepts connections, limits their size and duration, and shuts them down with the process.

mod client_stream;
mod places;
mod request_body;
mod response_body;
pub(crate) mod unreadable;
pub(crate) mod unsent;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, Version, header};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use telemetry::http_server::REQUEST_ID;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use self::client_stream::{ClientStream, Lingering};
pub(crate) use self::places::ConnectionLimits;
use self::places::{Connection, Place, Places};
pub(crate) use self::request_body::RequestBody;
use self::request_body::Unread;
use self::response_body::{ResponseBody, while_read};
use crate::platform::client_address::ClientAddress;
use crate::platform::listener::unreadable::{Progress, RefusingStream, UnreadableRecorder};
use crate::platform::listener::unsent::{COUNTED_FROM, Held, UnsentResponses};

/// Maximum time for the headers of the first request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time between two requests, until the headers of the next one are complete. Longer than proxies
/// keep idle connections (nginx one minute, Caddy two), so that they close first. A request that is sent
/// while the server closes is lost, and proxies retry only `GET`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);
/// Interval of the idle check, for protocols that have no idle timeout of their own.
const IDLE_CHECK: Duration = Duration::from_secs(30);
/// Maximum time for a connection without requests to close.
const CLOSING_TIME: Duration = Duration::from_secs(1);
/// Maximum number of concurrent requests of an HTTP/2 connection.
const STREAMS_AT_ONCE: u32 = 32;
/// Send buffer of each of these requests, in addition to the response itself.
const STREAM_SEND_BYTES: usize = 16 << 10;
/// Receive window of a request body; it fills before the handler reads.
const STREAM_RECEIVE_BYTES: u32 = 128 << 10;
/// Receive window of all request bodies of a connection.
const CONNECTION_RECEIVE_BYTES: u32 = 256 << 10;
/// Maximum size of a request's headers; larger ones get 431.
pub(crate) const HEADER_BYTES: usize = 16 << 10;
/// Size up to which larger headers are still read, so that the 431 has the common error format and leaves a
/// record.
const READABLE_HEADER_BYTES: usize = 4 * HEADER_BYTES;
/// Interval of HTTP/2 keep-alive pings.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum time for HTTP/2 requests to notice the end of their connection.
const STREAM_END_LIMIT: Duration = Duration::from_millis(500);

/// Services of a listener.
#[derive(Clone)]
pub(crate) struct Services<S> {
    pub(crate) requests: S,
    /// Handles requests whose headers are too large.
    pub(crate) headers_too_large: S,
    /// Handles connections that never become a request.
    pub(crate) unreadable: UnreadableRecorder,
}

/// A service that responds to every request, such as a router.
pub(crate) trait Respond:
    Service<Request<RequestBody>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Respond for S where
    S: Service<Request<RequestBody>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Stages of shutdown; each begins when its sender is dropped.
#[derive(Clone)]
pub(crate) struct End {
    /// Connections are still accepted, but for one request each, because a client could send its next request
    /// while the connection closes.
    pub(crate) announced: watch::Receiver<()>,
    /// No connection is accepted any more.
    pub(crate) closed: watch::Receiver<()>,
}

/// Waits until the sender is dropped.
pub(crate) async fn until_dropped(mut stopped: watch::Receiver<()>) {
    // Nothing is ever sent: an error means that the sender was dropped.
    while stopped.changed().await.is_ok() {}
}

impl End {
    fn is_announced(&self) -> bool {
        self.announced.has_changed().is_err()
    }
}

/// Limits shared by all connections of a listener. Clones share them.
#[derive(Clone)]
pub(crate) struct Shares {
    places: Places,
    /// `None` if nothing is counted.
    unsent: Option<(UnsentResponses, Overloaded)>,
}

/// Creates the response that replaces one for lack of memory, with the request id already assigned.
pub(crate) type Overloaded = fn(Option<HeaderValue>) -> Response;

impl Shares {
    /// For users. A network of `trusted` proxies represents many clients.
    pub(crate) fn limited(limits: ConnectionLimits, trusted: &[IpNet], overloaded: Overloaded) -> Self {
        let places = Places::new(limits, trusted.to_vec());
        Self { places, unsent: Some((UnsentResponses::default(), overloaded)) }
    }

    /// For a listener that only the operator reaches.
    pub(crate) fn unlimited() -> Self {
        let places = Places::new(ConnectionLimits::NONE, Vec::new());
        Self { places, unsent: None }
    }
}

/// Accepts connections until shutdown, then lets open ones finish their requests, for at most `patience`.
pub(crate) async fn accept<S: Respond>(
    listener: TcpListener,
    services: Services<S>,
    shares: Shares,
    end: End,
    patience: Duration,
) {
    let mut connections = JoinSet::new();
    let streams = TaskTracker::new();
    let closing = CancellationToken::new();
    let mut closed = Box::pin(until_dropped(end.closed.clone()));
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut closed => break,
        };
        match connection {
            Ok((stream, peer)) => {
                // If no permit is free, the stream is dropped, which closes it.
                if let Some(place) = shares.places.take(peer, closing.child_token()) {
                    let server =
                        Server { services: services.clone(), shares: shares.clone(), end: end.clone(), peer };
                    connections.spawn(serve_connection(stream, server, place, streams.clone()));
                }
            }
            // Probably out of file descriptors: other connections must end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    closing.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(patience, ended).await;
    // Ends the remaining connections here, so that they leave their records before telemetry ends.
    connections.shutdown().await;
    streams.close();
    let _ = tokio::time::timeout(STREAM_END_LIMIT, streams.wait()).await;
}

/// Everything needed to serve a connection.
struct Server<S> {
    services: Services<S>,
    shares: Shares,
    end: End,
    peer: SocketAddr,
}

async fn serve_connection<S: Respond>(
    stream: TcpStream,
    server: Server<S>,
    place: Place,
    streams: TaskTracker,
) {
    // Responses are small and complete, so delaying them to send more at once is useless.
    let _ = stream.set_nodelay(true);
    let lingering = Lingering::default();
    let (progress, recorder) = (Progress::default(), server.services.unreadable.clone());
    let stream = ClientStream::new(stream, lingering.clone());
    let stream = RefusingStream::new(stream, progress.clone(), recorder.clone());
    let reading = progress.clone();
    let connection = place.connection();
    let (serving, server) = (connection.clone(), Arc::new(server));
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        reading.begin_request();
        let in_progress = serving.begin();
        request.extensions_mut().insert(axum::extract::ConnectInfo(server.peer));
        let client = server.shares.places.client_of(server.peer.ip(), request.headers());
        let is_http_2 = request.version() >= Version::HTTP_2;
        let is_too_large = header_bytes(request.headers()) > HEADER_BYTES;
        let services = &server.services;
        let service = if is_too_large { &services.headers_too_large } else { &services.requests };
        // HTTP/2 announces it per connection, not per response.
        let is_last = !is_http_2 && server.end.is_announced();
        let (request, unread) = keep_unread(request);
        let response = service.clone().oneshot(request);
        let (lingering, unsent) = (lingering.clone(), server.shares.unsent.clone());
        let connection = serving.clone();
        async move {
            let mut response = response.await?;
            let is_read = match unread {
                // The response already announces the end of the connection.
                Some(unread) if response.headers().contains_key(header::CONNECTION) => unread.was_read(),
                Some(unread) => unread.finish().await,
                None => true,
            };
            if !is_read {
                lingering.expect_more();
            }
            if is_last || !is_read {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let (response, held) = hold(response, unsent, client, &connection).await;
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, is_http_2, held, in_progress)))
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
        .max_concurrent_streams(STREAMS_AT_ONCE)
        .max_send_buf_size(STREAM_SEND_BYTES)
        .initial_stream_window_size(STREAM_RECEIVE_BYTES)
        .initial_connection_window_size(CONNECTION_RECEIVE_BYTES)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(HEADER_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = pin!(served.into_owned());

    tokio::select! {
        ended = &mut served => {
            // The client violated the protocol or disconnected. Its requests, if any, have records of their
            // own.
            if let Err(error) = ended {
                progress.conclude(Some(&*error), &recorder);
            }
            return;
        }
        end = wait_for_end(connection) => {
            if end == ConnectionEnd::NoRequest {
                progress.conclude(None, &recorder);
            }
        }
    }
    if connection.is_killed() {
        return;
    }
    // Finishes started requests. A connection without one is closed.
    served.as_mut().graceful_shutdown();
    while tokio::time::timeout(CLOSING_TIME, &mut served).await.is_err() {
        if connection.is_idle() || connection.is_killed() {
            return;
        }
    }
}

/// Reasons for the server to close a connection.
#[derive(PartialEq, Eq)]
enum ConnectionEnd {
    /// The first request did not arrive in time.
    NoRequest,
    /// The connection has been idle for too long, its place is needed for another one, or the listener shuts
    /// down.
    Idle,
}

/// Waits until the connection must close.
async fn wait_for_end(connection: &Connection) -> ConnectionEnd {
    let beginning = tokio::time::timeout(HEADER_TIMEOUT, connection.closing()).await;
    // The limit applies to the first request.
    if beginning.is_ok() {
        return ConnectionEnd::Idle;
    }
    if !connection.was_used() {
        return ConnectionEnd::NoRequest;
    }
    while tokio::time::timeout(IDLE_CHECK, connection.closing()).await.is_err() {
        // HTTP/1 has its own limit between two requests.
        if connection.idle_time() >= IDLE_TIMEOUT {
            return ConnectionEnd::Idle;
        }
    }
    ConnectionEnd::Idle
}

/// Reserves memory for a response, or replaces the response if there is none.
async fn hold(
    response: Response,
    unsent: Option<(UnsentResponses, Overloaded)>,
    client: ClientAddress,
    connection: &Arc<Connection>,
) -> (Response, Option<Arc<Held>>) {
    // Bodies of unknown size are read from a file piece by piece.
    let size = response.body().size_hint().exact().filter(|size| *size >= COUNTED_FROM);
    let (Some((unsent, overloaded)), Some(size)) = (unsent, size) else { return (response, None) };
    match unsent.hold(client, size).await {
        Some(held) => {
            let connection = connection.clone();
            held.give_up_by(move || connection.kill());
            (response, Some(held))
        }
        None => (overloaded(response.headers().get(REQUEST_ID).cloned()), None),
    }
}

/// Allows reading the rest of a body after the response is known, if the next request follows it. HTTP/2 has
/// a separate stream per request.
fn keep_unread(request: Request<Incoming>) -> (Request<RequestBody>, Option<Unread>) {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return (request.map(RequestBody::new), None);
    }
    let waits_for_permission = request.headers().contains_key(header::EXPECT);
    let (head, incoming) = request.into_parts();
    let (body, unread) = RequestBody::returning(incoming, waits_for_permission);
    (Request::from_parts(head, body), Some(unread))
}

/// Size of headers in the HTTP/1 encoding.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// Runs the concurrent requests of an HTTP/2 connection.
#[derive(Clone)]
struct StreamExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(while_read(stream));
    }
}
