//! The thread that sends one signal, and its handle.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal::ClosedSet as _;
use signal::builtin::Signal;
use tokio::sync::oneshot;

use super::export_loop::{ExportLoop, SenderWarning};
use super::{BatchSource, SenderLink, SignalSettings, StartError, transport};

/// Divisor of the time until the shutdown deadline: the caller keeps that share for waiting until
/// the last counts are final.
const BOOKING_SHARE: u32 = 20;

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

/// Sends pending items and stops the senders, concurrently and before the deadline.
///
/// Items that could not be sent are counted as dropped by
/// [`DropReason::Shutdown`](signal::builtin::DropReason::Shutdown). A sender whose collector is
/// known to be unreachable stops immediately. Blocks the calling thread, so call it where nothing
/// else must run.
pub fn shutdown(senders: impl IntoIterator<Item = SignalSender>, deadline: Instant) {
    let time_left = deadline.saturating_duration_since(Instant::now());
    let last_response_at = deadline.checked_sub(time_left / BOOKING_SHARE).unwrap_or(deadline);
    let finished: Vec<mpsc::Receiver<()>> = senders
        .into_iter()
        .map(|sender| {
            // Sending fails if the thread has already ended; then there is nothing to stop.
            let _ = sender.shutdown.send(last_response_at);
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
