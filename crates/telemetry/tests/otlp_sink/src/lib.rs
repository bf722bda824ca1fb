//! A collector for tests.
//!
//! [`OtlpSink`] listens on a loopback port for OTLP over both protocols at once, decodes every request by the official
//! message types, keeps it together with its raw bytes, and answers as the test demands. It runs on a thread of its own,
//! so that tests of any kind can use it, those with a paused clock included.

mod answer;
mod server;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use tokio::sync::oneshot;

pub use answer::Answer;

const LOOPBACK: &str = "127.0.0.1";
/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request that arrived, whatever it was answered.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The protocol that it came by.
    pub protocol: ReceivedBy,
    /// What it says.
    pub export: Export,
    /// The protobuf message as it was sent, after decompression.
    pub raw: Bytes,
    /// Its headers or metadata.
    pub headers: HeaderMap,
    /// The other end of its connection; equal for requests that share one.
    pub peer: SocketAddr,
    /// When it had arrived in full.
    pub received_at: Instant,
    /// How it was answered.
    pub answer: Answer,
}

/// The protocol that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedBy {
    /// gRPC.
    Grpc,
    /// HTTP with a protobuf body.
    Http,
}

/// What a request says.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Metric points.
    Metrics(ExportMetricsServiceRequest),
    /// Nothing that the official message types understand; such a request is always refused.
    Malformed,
}

/// A running collector for tests. It stops when dropped.
pub struct OtlpSink {
    endpoint: String,
    certificate: Option<String>,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl OtlpSink {
    /// Starts a sink for `http://` on a free loopback port.
    pub fn start() -> Self {
        Self::start_with(free_port(), None)
    }

    /// Starts a sink for `http://` on a port where another one was before.
    pub fn start_again(endpoint: &str) -> Self {
        let port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
        let port: u16 = port.expect("the endpoint of a sink ends in its port");
        Self::start_with(TcpListener::bind((LOOPBACK, port)).expect("the port is free again"), None)
    }

    /// Starts a sink for `https://`, with a certificate by an authority of its own.
    pub fn start_encrypted() -> Self {
        Self::start_with(free_port(), Some(server::Identity::new()))
    }

    fn start_with(listener: TcpListener, identity: Option<server::Identity>) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let scheme = if identity.is_some() { "https" } else { "http" };
        let certificate = identity.as_ref().map(|identity| identity.authority.clone());
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let state = Arc::clone(&state);
            thread::spawn(move || server::run(listener, identity, state, stopped))
        };
        Self {
            endpoint: format!("{scheme}://localhost:{}", address.port()),
            certificate,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// What to set `OTEL_EXPORTER_OTLP_ENDPOINT` to, for either protocol.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The authority to trust, as PEM; only an encrypted sink has one.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Answers the next requests in this way, one each, before it goes back to its usual answer.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().next_answers.extend(answers);
    }

    /// Answers all requests in this way from now on; until then each is accepted.
    pub fn answer_always(&self, answer: Answer) {
        self.state.lock().usual_answer = answer;
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.lock().requests.clone()
    }

    /// The trace requests that were accepted, in part at least.
    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        accepted(&self.requests())
            .filter_map(|export| match export {
                Export::Traces(traces) => Some(traces.clone()),
                _ => None,
            })
            .collect()
    }

    /// The metric requests that were accepted, in part at least.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        accepted(&self.requests())
            .filter_map(|export| match export {
                Export::Metrics(metrics) => Some(metrics.clone()),
                _ => None,
            })
            .collect()
    }

    /// Waits until the requests so far satisfy the condition, and panics when they do not within a minute.
    pub fn wait_until(
        &self,
        what: &str,
        condition: impl Fn(&[ReceivedRequest]) -> bool,
    ) -> Vec<ReceivedRequest> {
        let deadline = Instant::now() + PATIENCE;
        let mut records = self.state.lock();
        while !condition(&records.requests) {
            let time_left = deadline.saturating_duration_since(Instant::now());
            assert!(!time_left.is_zero(), "the sink never saw {what}, only {:#?}", records.requests);
            let waited = self.state.changed.wait_timeout(records, time_left);
            records = waited.expect("no thread of the sink panicked").0;
        }
        records.requests.clone()
    }
}

fn free_port() -> TcpListener {
    TcpListener::bind((LOOPBACK, 0)).expect("a loopback port is free")
}

fn accepted(requests: &[ReceivedRequest]) -> impl Iterator<Item = &Export> {
    requests.iter().filter(|request| request.answer.accepts()).map(|request| &request.export)
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        // The thread may have ended already, and then there is nobody to tell.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the sink's thread panicked");
        }
    }
}

/// What the sink's thread and the test share.
#[derive(Default)]
struct State {
    records: Mutex<Records>,
    changed: Condvar,
}

#[derive(Default)]
struct Records {
    requests: Vec<ReceivedRequest>,
    next_answers: VecDeque<Answer>,
    usual_answer: Answer,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("no thread of the sink panicked")
    }

    /// Keeps a request, and decides how it is answered.
    fn receive(
        &self,
        protocol: ReceivedBy,
        peer: SocketAddr,
        headers: HeaderMap,
        raw: Bytes,
        export: Export,
    ) -> Answer {
        let mut records = self.lock();
        let planned = records.next_answers.pop_front();
        let answer = match export {
            Export::Malformed => Answer::Refuse,
            _ => planned.unwrap_or_else(|| records.usual_answer.clone()),
        };
        records.requests.push(ReceivedRequest {
            protocol,
            export,
            raw,
            headers,
            peer,
            received_at: Instant::now(),
            answer: answer.clone(),
        });
        self.changed.notify_all();
        answer
    }
}
