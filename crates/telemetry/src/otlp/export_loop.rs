//! The loop of a sender's thread: collect, send, wait, repeat.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signal::builtin::{DropReason, Signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};

use super::pacing::Pacing;
use super::queue::{Batch, BatchQueue};
use super::transport::{Reply, Transport};
use super::{BatchSource, ExportFailure, More, SenderLink, SignalSettings};

/// Maximum number of attempts to send one batch. A collector that does not accept it by then never
/// will, and other batches may be waiting behind it.
const MOST_ATTEMPTS: u32 = 10;
/// Number of batches after which the loop checks responses and deadlines before it collects more.
const MOST_BATCHES_AT_ONCE: usize = 64;
/// The memory of requests above this size is not reused.
const RETAINED_BYTES: usize = 512 << 10;
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

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

pub(super) struct ExportLoop {
    signal: Signal,
    source: Arc<dyn BatchSource>,
    transport: Box<dyn Transport>,
    queue: BatchQueue,
    /// Buffer for the request that is taken from the source next.
    body: Vec<u8>,
    /// State of the source: whether it holds more of the current collection.
    more: More,
    has_collected: bool,
    pacing: Pacing,
    under_way: Option<UnderWay>,
    link: SenderLink,
    warn: Box<dyn Fn(SenderWarning) + Send>,
    last_warning: Option<Instant>,
    failures_since_warning: u64,
    request_timeout: Duration,
    interval: Duration,
}

/// The request in flight. There is at most one: this keeps the order and bounds memory.
struct UnderWay {
    batch: Batch,
    reply: BoxFuture<'static, Reply>,
}

impl ExportLoop {
    pub(super) fn new(
        signal: Signal,
        settings: &SignalSettings,
        source: Arc<dyn BatchSource>,
        transport: Box<dyn Transport>,
        link: SenderLink,
        warn: Box<dyn Fn(SenderWarning) + Send>,
    ) -> Self {
        Self {
            signal,
            source,
            transport,
            queue: BatchQueue::new(signal, settings.queue_bytes, Arc::clone(link.statistics())),
            body: Vec::new(),
            more: More::Nothing,
            has_collected: false,
            pacing: Pacing::new(settings.retry),
            under_way: None,
            link,
            warn,
            last_warning: None,
            failures_since_warning: 0,
            request_timeout: settings.timeout,
            interval: settings.interval,
        }
    }

    /// Runs until a shutdown deadline arrives, or until the handle that could send one is dropped.
    pub(super) async fn run(mut self, mut shutdown_requested: oneshot::Receiver<std::time::Instant>) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = loop {
            self.send_next();
            if self.has_collected && self.under_way.is_none() && self.queue.is_empty() {
                self.link.decide_first_collection();
            }
            let pause_ends = self.pause_ends();
            // Empty the source even while a request is in flight. A slow collector then fills this bounded
            // queue, which drops the oldest batches, instead of the application's buffers.
            tokio::select! {
                biased;
                deadline = &mut shutdown_requested => break deadline.map_or_else(|_| Instant::now(), Instant::from_std),
                reply = reply_of(&mut self.under_way) => self.handle(reply),
                () = sleep_until_some(pause_ends) => {}
                _ = ticks.tick() => self.collect(),
                () = self.link.woken() => self.collect(),
            }
        };
        self.collect_all(deadline);
        // At the deadline, the request in flight is abandoned with the rest.
        let _ = timeout_at(deadline, self.drain(deadline)).await;
        self.give_up();
    }

    /// Starts the next request unless one is in flight or backoff applies.
    fn send_next(&mut self) {
        if self.under_way.is_some() || !self.pacing.may_send(Instant::now()) {
            return;
        }
        while self.queue.is_empty() && self.more == More::Later {
            self.more = self.collect_some();
        }
        let Some(batch) = self.queue.take_oldest() else { return };
        let reply = timeout(self.request_timeout, self.transport.send(batch.body.clone()));
        let reply = Box::pin(async move { reply.await.unwrap_or(Reply::TimedOut) });
        self.under_way = Some(UnderWay { batch, reply });
    }

    /// Returns when queued batches may be sent again; `None` if another event will wake the loop.
    fn pause_ends(&self) -> Option<Instant> {
        let waiting_for_pause = self.under_way.is_none() && !self.queue.is_empty();
        self.pacing.resume_at().filter(|_| waiting_for_pause)
    }

    /// Begins a collection and moves its first batches into the queue.
    fn collect(&mut self) {
        self.begin_collection();
        self.more = self.collect_some();
        if self.more == More::AtOnce {
            self.link.wake();
        }
    }

    /// Moves the whole collection into the queue, including the part that would otherwise come
    /// later.
    fn collect_all(&mut self, deadline: Instant) {
        self.begin_collection();
        while self.collect_some() != More::Nothing && Instant::now() < deadline {}
        self.more = More::Nothing;
    }

    fn begin_collection(&mut self) {
        self.has_collected = true;
        self.source.begin();
        self.queue.begin_collection();
    }

    /// Moves up to [`MOST_BATCHES_AT_ONCE`] batches into the queue. Returns the rest in the source.
    fn collect_some(&mut self) -> More {
        for _ in 0..MOST_BATCHES_AT_ONCE {
            let taken = self.source.take(&mut self.body);
            if taken.items > 0 {
                self.queue.push(&mut self.body, taken.items);
            }
            self.body.clear();
            self.body.shrink_to(RETAINED_BYTES);
            if taken.more != More::AtOnce {
                return taken.more;
            }
        }
        More::AtOnce
    }

    /// Updates queue, backoff and counts after a response or a failure.
    fn handle(&mut self, reply: Reply) {
        let Some(UnderWay { mut batch, .. }) = self.under_way.take() else { return };
        let now = Instant::now();
        let jitter: f64 = rand::random();
        match reply {
            Reply::Accepted { rejected_items } => {
                self.pacing.settled();
                let body = std::mem::take(&mut batch.body);
                if self.queue.delivered(batch, rejected_items) > 0 {
                    self.warn(now, ExportFailure::PartlyRejected, None);
                }
                self.reuse(body);
            }
            Reply::Rejected { status } => self.reject(now, batch, ExportFailure::Rejected, status),
            Reply::Redirected { status } => self.reject(now, batch, ExportFailure::Redirected, status),
            Reply::TryLater { status, pause } => {
                self.pacing.asked_to_wait(now, pause, jitter);
                batch.attempts += 1;
                self.try_again(now, batch, ExportFailure::Unavailable, Some(status));
            }
            // A login page usually disappears once somebody has repaired the proxy.
            Reply::NotOtlp { status } => {
                self.pacing.asked_to_wait(now, None, jitter);
                batch.attempts += 1;
                self.try_again(now, batch, ExportFailure::NotOtlp, Some(status));
            }
            Reply::TimedOut => {
                self.transport.reconnect();
                self.pacing.got_no_response(now, jitter);
                batch.attempts += 1;
                self.try_again(now, batch, ExportFailure::Timeout, None);
            }
            Reply::Unreachable(failure) => {
                self.pacing.got_no_response(now, jitter);
                self.try_again(now, batch, failure, None);
            }
        }
        self.link.statistics().lock().circuit_open = self.pacing.is_open();
    }

    /// Reuses the memory of a completed request for the next one: new memory has to be mapped, page
    /// by page.
    fn reuse(&mut self, body: Bytes) {
        if self.body.capacity() == 0
            && let Ok(mut body) = body.try_into_mut()
        {
            body.clear();
            self.body = body.into();
        }
    }

    fn reject(&mut self, now: Instant, batch: Batch, failure: ExportFailure, status: u16) {
        self.pacing.settled();
        self.count_failure(failure);
        self.queue.discard(batch, DropReason::Rejected);
        self.warn(now, failure, Some(status));
    }

    fn try_again(&mut self, now: Instant, batch: Batch, failure: ExportFailure, status: Option<u16>) {
        self.count_failure(failure);
        if batch.attempts < MOST_ATTEMPTS {
            self.queue.put_back(batch);
        } else {
            self.queue.discard(batch, DropReason::RetriesExhausted);
        }
        self.warn(now, failure, status);
    }

    fn count_failure(&self, failure: ExportFailure) {
        self.link.statistics().lock().add_failure(failure);
        self.link.decide_first_collection();
    }

    fn warn(&mut self, now: Instant, failure: ExportFailure, status: Option<u16>) {
        self.failures_since_warning += 1;
        if self.last_warning.is_some_and(|last| now < last + WARNING_INTERVAL) {
            return;
        }
        self.last_warning = Some(now);
        (self.warn)(SenderWarning {
            signal: self.signal,
            failure,
            status,
            failed_requests: std::mem::take(&mut self.failures_since_warning),
            dropped_items: self.link.statistics().counts().dropped_items(),
        });
    }

    /// Sends queued batches until the collector stops responding or asks to wait beyond the
    /// deadline.
    async fn drain(&mut self, deadline: Instant) {
        while !self.pacing.is_open() {
            self.send_next();
            if self.under_way.is_some() {
                let reply = reply_of(&mut self.under_way).await;
                self.handle(reply);
                continue;
            }
            match self.pause_ends() {
                Some(pause_ends) if pause_ends < deadline => sleep_until(pause_ends).await,
                _ => return,
            }
        }
    }

    /// Drops everything left and counts it as lost.
    fn give_up(mut self) {
        if let Some(UnderWay { batch, .. }) = self.under_way.take() {
            self.queue.discard(batch, DropReason::Shutdown);
        }
        self.queue.discard_all(DropReason::Shutdown);
    }
}

async fn reply_of(under_way: &mut Option<UnderWay>) -> Reply {
    match under_way {
        Some(under_way) => (&mut under_way.reply).await,
        None => pending().await,
    }
}

async fn sleep_until_some(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
