//! What a sender's thread does: collect, send, wait, repeat.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};

use super::pacing::Pacing;
use super::queue::{Batch, BatchQueue};
use super::transport::{Reply, Transport};
use super::{BatchSource, ExportFailure, More, SenderLink, SenderWarning, SignalSettings};
use crate::builtin::{DropReason, Signal};

/// A collector that answers "later" to the same batch so often will not take it, and others may be waiting behind it.
const MOST_ATTEMPTS: u32 = 10;
/// After so many batches the loop looks at answers and deadlines again before it goes on collecting.
const MOST_BATCHES_AT_ONCE: usize = 64;
/// A larger request than that does not leave its memory to the next one.
const RETAINED_BYTES: usize = 512 << 10;
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct ExportLoop {
    signal: Signal,
    source: Arc<dyn BatchSource>,
    transport: Box<dyn Transport>,
    queue: BatchQueue,
    /// The request that is being taken from the source.
    body: Vec<u8>,
    /// What the source has left of the collection that was begun.
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

/// The one request that is being sent. There is never a second: order is kept and memory bounded.
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

    /// Runs until a shutdown deadline arrives, or until nobody is left who could send one.
    pub(super) async fn run(mut self, mut shutdown_requested: oneshot::Receiver<std::time::Instant>) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = loop {
            self.send_next();
            if self.has_collected && self.under_way.is_none() && self.queue.is_empty() {
                self.link.decide_first_collection();
            }
            let pause_ends = self.pause_ends();
            // The source is emptied also while a request is under way: a slow collector fills our bounded queue, in
            // which the oldest give way, and not the application's buffers.
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
        // Past the deadline the request under way is given up with the rest.
        let _ = timeout_at(deadline, self.drain(deadline)).await;
        self.give_up();
    }

    /// Starts the next request unless one is under way or a pause lasts.
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

    /// When to look again at what waits; `None` when something else will cause that.
    fn pause_ends(&self) -> Option<Instant> {
        let waiting_for_pause = self.under_way.is_none() && !self.queue.is_empty();
        self.pacing.resume_at().filter(|_| waiting_for_pause)
    }

    /// Moves what the source has into the queue.
    fn collect(&mut self) {
        self.begin_collection();
        self.more = self.collect_some();
        if self.more == More::AtOnce {
            self.link.wake();
        }
    }

    /// The same with what would come later.
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

    /// Says what the source has left.
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

    /// Draws the consequences of an answer, or of its absence.
    fn handle(&mut self, reply: Reply) {
        let Some(UnderWay { mut batch, .. }) = self.under_way.take() else { return };
        let now = Instant::now();
        let jitter: f64 = rand::random();
        match reply {
            Reply::Accepted { rejected_items } => {
                self.pacing.answered();
                let body = std::mem::take(&mut batch.body);
                if self.queue.delivered(batch, rejected_items) > 0 {
                    self.warn(now, ExportFailure::PartlyRejected, None);
                }
                self.reuse(body);
            }
            Reply::Rejected { status } => {
                self.pacing.answered();
                self.count_failure(ExportFailure::Rejected);
                self.queue.discard(batch, DropReason::Rejected);
                self.warn(now, ExportFailure::Rejected, Some(status));
            }
            Reply::TryLater { status, pause } => {
                self.pacing.asked_to_wait(now, pause, jitter);
                batch.attempts += 1;
                self.try_again(now, batch, ExportFailure::Unavailable, Some(status));
            }
            Reply::TimedOut => {
                self.transport.reconnect();
                self.pacing.unanswered(now, jitter);
                batch.attempts += 1;
                self.try_again(now, batch, ExportFailure::Timeout, None);
            }
            Reply::Unreachable => {
                self.pacing.unanswered(now, jitter);
                self.try_again(now, batch, ExportFailure::Connection, None);
            }
        }
        self.link.statistics().lock().circuit_open = self.pacing.is_open();
    }

    /// Leaves the memory of a request that was sent to the next one: new memory has to be mapped, page by page.
    fn reuse(&mut self, body: Bytes) {
        if self.body.capacity() == 0
            && let Ok(mut body) = body.try_into_mut()
        {
            body.clear();
            self.body = body.into();
        }
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

    /// Sends what waits, unless the collector does not answer or asks to wait beyond the deadline.
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

    /// Books everything that is left as lost.
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
