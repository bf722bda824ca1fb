//! The thread that sends one signal, and the handles on it.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal::ClosedSet as _;
use signal::builtin::Signal;
use tokio::sync::{Notify, oneshot, watch};

use super::export_loop::ExportLoop;
use super::{ExportFailure, SenderStatistics, SignalSettings, transport};

/// Divisor of the time until the shutdown deadline: the caller keeps that share for waiting until
/// the last counts are final.
const BOOKING_SHARE: u32 = 20;

/// A source of batches for a sender.
///
/// It is called on the sender's own thread only: at every interval, when woken, and a last time at
/// shutdown.
pub trait BatchSource: Send + Sync + 'static {
    /// Begins a new collection. A source that renders the current state in parts starts again with
    /// the first part.
    fn begin(&self) {}

    /// Writes one complete encoded export request into `into`, which is empty, and returns what it
    /// contains. The source may exchange the buffer.
    ///
    /// A request should stay well below 4 MiB, the maximum that a collector accepts by default. If
    /// something is left over, [`BatchItems::more`] makes the sender call again.
    fn take(&self, into: &mut Vec<u8>) -> BatchItems;
}

/// The contents of a request that [`BatchSource::take`] produced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchItems {
    /// Number of spans or data points in the request; 0 if there is nothing to send.
    pub items: u64,
    /// State of the source: whether another call would return more.
    pub more: More,
}

/// State of a source after a request was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// Nothing is left. A source that renders the current state must return this at the end, or it
    /// is called forever.
    #[default]
    Nothing,
    /// More is left and should be taken immediately, to make room in the source.
    AtOnce,
    /// More is left, but should be taken only after this request was sent, so that it need not be
    /// queued.
    Later,
}

/// State that a source and its sender share. It is created before both, so that the source can hold
/// a copy.
#[derive(Clone, Debug, Default)]
pub struct SenderLink {
    statistics: Arc<SenderStatistics>,
    wake: Arc<Notify>,
    /// True once the first collection was sent, or an attempt to send it failed.
    first_is_decided: Arc<watch::Sender<bool>>,
}

impl SenderLink {
    /// Makes the sender collect now instead of at the next interval. It is cheap and may be called
    /// from any thread.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns the counts of items sent, dropped and pending.
    pub fn statistics(&self) -> &Arc<SenderStatistics> {
        &self.statistics
    }

    /// Waits until the first collection has been sent, or an attempt to send it has failed.
    pub async fn first_collection(&self) {
        let mut decided = self.first_is_decided.subscribe();
        // The sender lives as long as `self`, so the wait can only end by the condition.
        let _ = decided.wait_for(|is_decided| *is_decided).await;
    }

    pub(super) fn decide_first_collection(&self) {
        self.first_is_decided.send_if_modified(|is_decided| !std::mem::replace(is_decided, true));
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A warning for the operator about failed requests, at most once a minute per sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderWarning {
    /// The signal whose request failed.
    pub signal: Signal,
    /// The kind of the last failure.
    pub failure: ExportFailure,
    /// The HTTP status or gRPC code of the response, if there was one.
    pub status: Option<u16>,
    /// Number of failed requests since the last warning, including this one.
    pub failed_requests: u64,
    /// Number of items dropped so far, for all reasons.
    pub dropped_items: u64,
}

/// Reasons why a sender cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The platform's trust store is empty, so the collector cannot be verified.
    #[error(
        "the platform's trust store holds no certificate to verify the collector with: install it \
         (on Debian: ca-certificates) or name a file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    )]
    NoPlatformCertificates,
    /// The HTTP client rejected its configuration.
    #[error("the HTTP client for the collector could not be set up")]
    HttpClient,
    /// The gRPC client rejected its configuration.
    #[error("the gRPC client for the collector could not be set up")]
    GrpcClient,
    /// The system refused to create the thread or its event loop.
    #[error("the thread that sends to the collector could not be started ({0})")]
    Thread(std::io::ErrorKind),
}

/// A running sender. Dropping it stops its thread immediately; [`shutdown`] sends pending items
/// first.
pub struct SignalSender {
    shutdown: oneshot::Sender<Instant>,
    // The lock is never contended. It makes the handle `Sync`, which a receiver alone is not.
    finished: Mutex<mpsc::Receiver<()>>,
}

impl SignalSender {
    /// Starts the thread that sends one signal.
    ///
    /// `warn` is called on that thread, at most once a minute, and should return quickly. No
    /// connection is opened before the first batch.
    pub fn start(
        signal: Signal,
        settings: &SignalSettings,
        source: Arc<dyn BatchSource>,
        link: &SenderLink,
        warn: impl Fn(SenderWarning) + Send + 'static,
    ) -> Result<Self, StartError> {
        let transport = transport::new(signal, settings)?;
        let export_loop = ExportLoop::new(signal, settings, source, transport, link.clone(), Box::new(warn));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StartError::Thread(error.kind()))?;
        let (shutdown, shutdown_requested) = oneshot::channel();
        let (finish, finished) = mpsc::channel();
        thread::Builder::new()
            .name(format!("otlp-{}", signal.as_str()))
            .spawn(move || {
                // Dropped when the thread ends in any way, which is what `shutdown` waits for.
                let _finish: mpsc::Sender<()> = finish;
                runtime.block_on(export_loop.run(shutdown_requested));
                // A pending name resolution must not delay the end of the process.
                runtime.shutdown_background();
            })
            .map_err(|error| StartError::Thread(error.kind()))?;
        Ok(Self { shutdown, finished: Mutex::new(finished) })
    }
}

/// Sends what is pending and stops the senders, all at the same time and never later than the
/// deadline.
///
/// Items that could not be sent are counted as dropped by
/// [`DropReason::Shutdown`](signal::builtin::DropReason::Shutdown). A sender whose collector is
/// known to be unreachable stops immediately. Blocks the calling thread, so call it where nothing
/// else must run.
pub fn shutdown(senders: impl IntoIterator<Item = SignalSender>, deadline: Instant) {
    let time_left = deadline.saturating_duration_since(Instant::now());
    let last_answer_at = deadline.checked_sub(time_left / BOOKING_SHARE).unwrap_or(deadline);
    let finished: Vec<mpsc::Receiver<()>> = senders
        .into_iter()
        .map(|sender| {
            // Sending fails if the thread has already ended; then there is nothing to stop.
            let _ = sender.shutdown.send(last_answer_at);
            sender.finished.into_inner().unwrap_or_else(PoisonError::into_inner)
        })
        .collect();
    for finished in finished {
        let time_left: Duration = deadline.saturating_duration_since(Instant::now());
        match finished.recv_timeout(time_left) {
            // No message is ever sent: the end of the thread disconnects the channel.
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}
