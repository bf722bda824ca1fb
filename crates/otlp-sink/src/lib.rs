//! A collector for tests.
//!
//! [`OtlpSink`] listens on a loopback port for OTLP over both protocols. It decodes every request
//! with the official message types, keeps it together with its raw bytes, and responds as the test
//! demands. It has its own thread, so that all tests can use it, including those with a paused
//! clock.

pub mod conventions;
mod reaction;
mod received;
mod server;
mod state;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use tokio::sync::oneshot;

pub use reaction::Reaction;
pub use received::{Export, ReceivedBy, ReceivedRequest};

use state::State;

const LOOPBACK: &str = "127.0.0.1";
/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running collector for tests. It stops when dropped.
pub struct OtlpSink {
    endpoint: String,
    certificate: Option<String>,
    client: Option<(String, String)>,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl OtlpSink {
    /// Starts a sink for `http://` on a free loopback port.
    pub fn start() -> Self {
        Self::start_with(free_port(), None)
    }

    /// Starts a sink for `http://` on the port of an earlier one.
    pub fn start_again(endpoint: &str) -> Self {
        let port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
        let port: u16 = port.expect("the endpoint of a sink ends in its port");
        Self::start_with(TcpListener::bind((LOOPBACK, port)).expect("the port is free again"), None)
    }

    /// Starts a sink for `https://`, with a certificate from its own authority.
    pub fn start_encrypted() -> Self {
        Self::start_with(free_port(), Some(server::Identity::new(false)))
    }

    /// Starts a sink for `https://` that demands a certificate from its own authority of clients.
    pub fn start_mutual() -> Self {
        Self::start_with(free_port(), Some(server::Identity::new(true)))
    }

    fn start_with(listener: TcpListener, identity: Option<server::Identity>) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let scheme = if identity.is_some() { "https" } else { "http" };
        let certificate = identity.as_ref().map(|identity| identity.authority.clone());
        let client = identity.as_ref().and_then(|identity| identity.client.clone());
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let state = Arc::clone(&state);
            thread::spawn(move || server::run(listener, identity, state, stopped))
        };
        Self {
            endpoint: format!("{scheme}://localhost:{}", address.port()),
            certificate,
            client,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns the value for `OTEL_EXPORTER_OTLP_ENDPOINT`, for either protocol.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the authority's certificate as PEM; `None` unless the sink is encrypted.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Returns the certificate and the key that clients must present, as PEM; `None` if they need
    /// none.
    pub fn client_identity(&self) -> Option<(&str, &str)> {
        self.client.as_ref().map(|(certificate, key)| (certificate.as_str(), key.as_str()))
    }

    /// Reacts to the next requests in these ways, one each, and then in the usual way again.
    pub fn react_to_next(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.state.lock().next_reactions.extend(reactions);
    }

    /// Reacts to all requests in this way from now on. The default is to accept them.
    pub fn react_always(&self, reaction: Reaction) {
        self.state.lock().usual_reaction = reaction;
    }

    /// Returns all requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.lock().requests.clone()
    }

    /// Returns the trace requests that were accepted, at least in part.
    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        accepted(&self.requests())
            .filter_map(|export| match export {
                Export::Traces(traces) => Some(traces.clone()),
                _ => None,
            })
            .collect()
    }

    /// Returns the metrics requests that were accepted, at least in part.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        accepted(&self.requests())
            .filter_map(|export| match export {
                Export::Metrics(metrics) => Some(metrics.clone()),
                _ => None,
            })
            .collect()
    }

    /// Waits until the requests so far satisfy the condition, and panics after a minute.
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
    requests.iter().filter(|request| request.reaction.accepts()).map(|request| &request.export)
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        // Sending fails if the thread has already ended; then there is nothing to stop.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the sink's thread panicked");
        }
    }
}
