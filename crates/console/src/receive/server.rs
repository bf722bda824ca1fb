//! The listener for exports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::body::{Refused, check, read};
use super::refusals::Refusals;
use super::sink::Sink;
use super::translate::translate;

/// Maximum number of connections. Each process opens one for each signal.
const MOST_CONNECTIONS: usize = 64;

/// Maximum number of bodies read concurrently.
const MOST_REQUESTS: usize = 4;

/// Deadline for the headers of a request to arrive.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);

/// Maximum wait of a request for others to be read.
const PERMIT_DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a failure to accept, such as a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Returns the time as a Unix time in milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

struct Receiver {
    sink: Arc<dyn Sink>,
    now: Clock,
    requests: Semaphore,
    /// Requests are decoded one at a time, because a decoded request is many times larger.
    decoding: Semaphore,
}

/// Serves exports on a listener, until the future is dropped.
pub async fn serve(listener: TcpListener, sink: Arc<dyn Sink>, now: Clock) {
    let service = TowerToHyperService::new(router(sink, now));
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
            // A connection that breaks concerns only its sender, which repeats the request.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

/// Binds the listener.
///
/// # Errors
/// Returns an error if the address is in use or does not belong to this machine.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Creates the routes of the receiver.
pub fn router(sink: Arc<dyn Sink>, now: Clock) -> Router {
    let receiver =
        Receiver { sink, now, requests: Semaphore::new(MOST_REQUESTS), decoding: Semaphore::new(1) };
    Router::new()
        .route("/v1/metrics", post(receive_metrics))
        .route("/v1/traces", post(receive_spans))
        .route("/v1/logs", post(refuse_logs))
        .method_not_allowed_fallback(refuse_method)
        .fallback(refuse_path)
        .with_state(Arc::new(receiver))
}

async fn receive_metrics(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Body) -> Response {
    let body = match receiver.read(&headers, body).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let Ok(_decoding) = receiver.decoding.acquire().await else { return BUSY.into_response() };
    let Ok(request) = ExportMetricsServiceRequest::decode(body.as_slice()) else {
        return MALFORMED.into_response();
    };
    let mut refusals = Refusals::default();
    for metrics in &request.resource_metrics {
        let translated = translate(metrics, (receiver.now)(), &mut refusals);
        for collection in translated.collections {
            refusals.add_dropped(&receiver.sink.append_metrics(collection).refused);
        }
        receiver.sink.append_exemplars(translated.exemplars);
    }
    let partial_success = (refusals.points() > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: refusals.points().cast_signed(),
        error_message: refusals.message(),
    });
    protobuf(&ExportMetricsServiceResponse { partial_success })
}

async fn receive_spans(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Body) -> Response {
    let body = match receiver.read(&headers, body).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let Ok(_decoding) = receiver.decoding.acquire().await else { return BUSY.into_response() };
    let Ok(request) = ExportTraceServiceRequest::decode(body.as_slice()) else {
        return MALFORMED.into_response();
    };
    let mut partial = ExportTracePartialSuccess::default();
    for spans in request.resource_spans {
        let refused = receiver.sink.append_spans(spans);
        partial.rejected_spans += refused.spans.cast_signed();
        if partial.error_message.is_empty() {
            partial.error_message = refused.reason;
        }
    }
    let partial_success = (partial.rejected_spans > 0).then_some(partial);
    protobuf(&ExportTraceServiceResponse { partial_success })
}

impl Receiver {
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refused> {
        check(headers)?;
        let permit = tokio::time::timeout(PERMIT_DEADLINE, self.requests.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(BUSY) };
        read(headers, body).await
    }
}

const BUSY: Refused =
    Refused(StatusCode::SERVICE_UNAVAILABLE, "Too many exports at the same time. Try again in a second.");

const MALFORMED: Refused =
    Refused(StatusCode::BAD_REQUEST, "The body is not an OTLP export request in protobuf for this path.");

async fn refuse_logs() -> Refused {
    Refused(
        StatusCode::NOT_FOUND,
        "Log lines are not received here. The console follows the log files: see `--logs`.",
    )
}

async fn refuse_method() -> Refused {
    Refused(StatusCode::METHOD_NOT_ALLOWED, "Exports are sent by POST.")
}

async fn refuse_path() -> Refused {
    Refused(
        StatusCode::NOT_FOUND,
        "This is the receiver for OTLP over HTTP. It accepts metrics at /v1/metrics and spans at /v1/traces.",
    )
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        let mut response = (status, format!("{text}\n")).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
        response
    }
}

fn protobuf(message: &impl Message) -> Response {
    ([(header::CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
}
