//! The thread that sends one signal, and the handles that others hold on it.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot, watch};

use super::export_loop::ExportLoop;
use super::{ExportFailure, SenderStatistics, SignalSettings, transport};
use crate::ClosedSet as _;
use crate::builtin::Signal;

/// The share of the shutdown deadline that the caller keeps for waiting until the last numbers are booked.
const BOOKING_SHARE: u32 = 20;

/// Where a sender finds what it is to send.
///
/// Called on the sender's own thread only: at every interval, when woken, and a last time at shutdown.
pub trait BatchSource: Send + Sync + 'static {
    /// A new collection begins. A source that renders the present state part by part starts again with the first one.
    fn begin(&self) {}

    /// Puts one complete encoded export request into `into`, which is empty, and says what it holds. Its memory may be exchanged.
    ///
    /// One request should stay well below 4 MiB, the most that a collector accepts by default. When that leaves
    /// something behind, [`BatchItems::more`] makes the sender call again.
    fn take(&self, into: &mut Vec<u8>) -> BatchItems;
}

/// What [`BatchSource::take`] took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchItems {
    /// How many spans or data points the request holds; 0 when there is nothing to send.
    pub items: u64,
    /// Whether another call would take more.
    pub more: More,
}

/// What a source has beyond what was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum More {
    /// Nothing. A source that renders the present state says so once it has rendered all of it, or it is asked forever.
    #[default]
    Nothing,
    /// Something that is to be taken now, to make room where it comes from.
    AtOnce,
    /// Something that is better taken when what was taken before has been sent, so that it need not wait here.
    Later,
}

/// What a source and its sender share. Made before either, so that the source can hold a copy.
#[derive(Clone, Debug, Default)]
pub struct SenderLink {
    statistics: Arc<SenderStatistics>,
    wake: Arc<Notify>,
    /// Whether the first collection was sent, or an attempt to send it failed.
    first_is_decided: Arc<watch::Sender<bool>>,
}

impl SenderLink {
    /// Makes the sender collect now instead of at the next interval. Cheap, and callable from any thread.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// What became of every item.
    pub fn statistics(&self) -> &Arc<SenderStatistics> {
        &self.statistics
    }

    /// Waits until the first collection has been sent, or an attempt to do so has failed.
    pub async fn first_collection(&self) {
        let mut decided = self.first_is_decided.subscribe();
        // The sender lives as long as `self`, so this can only end by the condition.
        let _ = decided.wait_for(|is_decided| *is_decided).await;
    }

    pub(super) fn decide_first_collection(&self) {
        self.first_is_decided.send_if_modified(|is_decided| !std::mem::replace(is_decided, true));
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// Something that an operator should know about a sender, at most once a minute for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderWarning {
    /// The signal whose request failed.
    pub signal: Signal,
    /// How it failed.
    pub failure: ExportFailure,
    /// The HTTP status or gRPC code of the answer, when there was one that said so.
    pub status: Option<u16>,
    /// How many requests failed since the last warning, this one included.
    pub failed_requests: u64,
    /// How many items were dropped so far, for all reasons.
    pub dropped_items: u64,
}

/// Why a sender could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to verify the collector with.
    #[error(
        "the platform's trust store holds no certificate to verify the collector with: install it \
         (on Debian: ca-certificates) or name a file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    )]
    NoPlatformCertificates,
    /// The HTTP client refused its configuration.
    #[error("the HTTP client for the collector could not be set up")]
    HttpClient,
    /// The gRPC client refused its configuration.
    #[error("the gRPC client for the collector could not be set up")]
    GrpcClient,
    /// The system refused a thread or what it needs.
    #[error("the thread that sends to the collector could not be started ({0})")]
    Thread(std::io::ErrorKind),
}

/// A running sender. Dropping it ends its thread at once; [`shutdown`] lets it send what is pending first.
pub struct SignalSender {
    shutdown: oneshot::Sender<Instant>,
    // The lock is never contended; it makes the handle shareable, which a receiver alone is not.
    finished: Mutex<mpsc::Receiver<()>>,
}

impl SignalSender {
    /// Starts the thread that sends one signal.
    ///
    /// `warn` is called on that thread, at most once a minute, and should return quickly. Nothing is connected before
    /// the first batch.
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
                // A name that is still being resolved must not hold up the end of the process.
                runtime.shutdown_background();
            })
            .map_err(|error| StartError::Thread(error.kind()))?;
        Ok(Self { shutdown, finished: Mutex::new(finished) })
    }
}

/// Sends what is pending and ends the senders, all at the same time and never later than the deadline.
///
/// What could not be sent is counted as dropped by [`DropReason::Shutdown`](crate::builtin::DropReason::Shutdown). A sender whose
/// collector is known not to answer ends at once. Blocks the calling thread; call it where nothing else must run.
pub fn shutdown(senders: impl IntoIterator<Item = SignalSender>, deadline: Instant) {
    let time_left = deadline.saturating_duration_since(Instant::now());
    let last_answer_at = deadline.checked_sub(time_left / BOOKING_SHARE).unwrap_or(deadline);
    let finished: Vec<mpsc::Receiver<()>> = senders
        .into_iter()
        .map(|sender| {
            // The thread may have ended already, and then there is nobody to tell.
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
