//! The loop against a scripted collector, with a simulated clock, so that every time below is
//! exact.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::{BatchItems, Endpoint, Protocol, RetryPauses, SenderCounts};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

const PAUSES: RetryPauses = RetryPauses { first: SECOND, longest: Duration::from_secs(30) };

#[derive(Default)]
struct Source(Mutex<VecDeque<(Vec<u8>, u64)>>);

impl Source {
    fn produce(&self, body: &[u8], items: u64) {
        self.0.lock().unwrap().push_back((body.to_vec(), items));
    }
}

impl BatchSource for Source {
    fn take(&self, into: &mut Vec<u8>) -> BatchItems {
        let mut pending = self.0.lock().unwrap();
        let Some((body, items)) = pending.pop_front() else { return BatchItems::default() };
        into.extend(body);
        let more = if pending.is_empty() { More::Nothing } else { More::AtOnce };
        BatchItems { items, more }
    }
}

/// A source whose state has three parts. Each part holds the number of collections begun and the
/// number of the part.
#[derive(Default)]
struct Parts(Mutex<[u8; 2]>);

impl BatchSource for Parts {
    fn begin(&self) {
        let mut state = self.0.lock().unwrap();
        *state = [state[0] + 1, 0];
    }

    fn take(&self, into: &mut Vec<u8>) -> BatchItems {
        let mut state = self.0.lock().unwrap();
        state[1] += 1;
        into.extend(*state);
        BatchItems { items: 1, more: if state[1] < 3 { More::Later } else { More::Nothing } }
    }
}

/// A collector that responds by a script, and accepts immediately when the script has ended.
#[derive(Default)]
struct Plan {
    replies: Mutex<VecDeque<(Duration, Reply)>>,
    reconnects: AtomicU64,
}

struct PlannedTransport {
    plan: Arc<Plan>,
    sent: mpsc::UnboundedSender<(Instant, Bytes)>,
}

impl Transport for PlannedTransport {
    fn send(&mut self, body: Bytes) -> BoxFuture<'static, Reply> {
        self.sent.send((Instant::now(), body)).unwrap();
        let planned = self.plan.replies.lock().unwrap().pop_front();
        let (delay, reply) = planned.unwrap_or((Duration::ZERO, Reply::Accepted { rejected_items: 0 }));
        async move {
            sleep(delay).await;
            reply
        }
        .boxed()
    }

    fn reconnect(&mut self) {
        self.plan.reconnects.fetch_add(1, Ordering::Relaxed);
    }
}

struct Rig {
    source: Arc<Source>,
    plan: Arc<Plan>,
    link: SenderLink,
    sent: mpsc::UnboundedReceiver<(Instant, Bytes)>,
    warnings: Arc<Mutex<Vec<SenderWarning>>>,
    shutdown: oneshot::Sender<std::time::Instant>,
    thread: JoinHandle<()>,
}

impl Rig {
    fn start(signal: Signal, replies: impl IntoIterator<Item = (Duration, Reply)>) -> Self {
        let source = Arc::new(Source::default());
        Self { source: source.clone(), ..Self::start_with(signal, source, replies) }
    }

    fn start_with(
        signal: Signal,
        source: Arc<dyn BatchSource>,
        replies: impl IntoIterator<Item = (Duration, Reply)>,
    ) -> Self {
        let endpoint = Endpoint::parse("http://collector").unwrap();
        let mut settings = SignalSettings::new(signal, endpoint, Protocol::HttpProtobuf);
        settings.retry = PAUSES;
        settings.interval = 5 * SECOND;
        settings.timeout = 10 * SECOND;
        let plan = Arc::new(Plan { replies: Mutex::new(replies.into_iter().collect()), ..Plan::default() });
        let link = SenderLink::default();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let (sent_here, sent) = mpsc::unbounded_channel();
        let (shutdown, shutdown_requested) = oneshot::channel();
        let transport = Box::new(PlannedTransport { plan: Arc::clone(&plan), sent: sent_here });
        let warn = {
            let warnings = Arc::clone(&warnings);
            Box::new(move |warning| warnings.lock().unwrap().push(warning))
        };
        let export_loop = ExportLoop::new(signal, &settings, source, transport, link.clone(), warn);
        let thread = tokio::spawn(export_loop.run(shutdown_requested));
        Self { source: Arc::default(), plan, link, sent, warnings, shutdown, thread }
    }

    fn produce(&self, body: &[u8], items: u64) {
        self.source.produce(body, items);
        self.link.wake();
    }

    /// Waits for the next request. Returns its time and its body.
    async fn next_sent(&mut self) -> (Instant, Bytes) {
        self.sent.recv().await.unwrap()
    }

    fn counts(&self) -> SenderCounts {
        self.link.statistics().counts()
    }

    /// Shuts down and returns how long that took, and the final counts.
    async fn shutdown(self, deadline: Duration) -> (Duration, SenderCounts) {
        let started = Instant::now();
        self.shutdown.send((started + deadline).into_std()).unwrap();
        self.thread.await.unwrap();
        let counts = self.link.statistics().counts();
        assert_eq!(counts.taken_items, counts.sent_items + counts.dropped_items(), "{counts:?}");
        (started.elapsed(), counts)
    }
}

fn unavailable() -> (Duration, Reply) {
    (Duration::ZERO, Reply::TryLater { status: 503, pause: None })
}

fn unreachable_collector() -> (Duration, Reply) {
    (Duration::ZERO, Reply::Unreachable(ExportFailure::ConnectionRefused))
}

/// A response that comes after every timeout.
fn hanging() -> (Duration, Reply) {
    (1_000 * SECOND, Reply::Accepted { rejected_items: 0 })
}

#[tokio::test(start_paused = true)]
async fn collects_at_every_interval_and_when_woken() {
    let started = Instant::now();
    let mut rig = Rig::start(Signal::Traces, []);
    rig.source.produce(b"by the clock", 1);
    let (sent_at, body) = rig.next_sent().await;
    assert_eq!((sent_at - started, body.as_ref()), (5 * SECOND, b"by the clock".as_slice()));
    sleep(SECOND).await;
    rig.produce(b"woken", 1);
    let (sent_at, body) = rig.next_sent().await;
    assert_eq!((sent_at - started, body.as_ref()), (6 * SECOND, b"woken".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_collector_cannot_be_reached_and_end_with_its_first_response() {
    let mut rig = Rig::start(Signal::Traces, std::iter::repeat_with(unreachable_collector).take(8));
    rig.produce(b"insistent", 1);
    let (mut last, _) = rig.next_sent().await;
    for longest in [1, 2, 4, 8, 16, 30, 30, 30] {
        let (sent_at, body) = rig.next_sent().await;
        let pause = sent_at - last;
        // Jitter shortens a pause by up to a half, and timers have millisecond resolution.
        assert!(pause >= longest * SECOND / 2, "{pause:?} after up to {longest} s");
        assert!(pause <= longest * SECOND + Duration::from_millis(1), "{pause:?} after up to {longest} s");
        assert_eq!(body.as_ref(), b"insistent");
        last = sent_at;
    }
    rig.produce(b"next", 1);
    let (sent_at, body) = rig.next_sent().await;
    assert_eq!((sent_at, body.as_ref()), (last, b"next".as_slice()), "no pause after a response");
    assert!(!rig.counts().circuit_open);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_sends_nothing_but_goes_on_collecting() {
    let mut rig = Rig::start(Signal::Traces, [hanging()]);
    rig.produce(b"first", 1);
    let (first, _) = rig.next_sent().await;
    // The request is in flight for ten seconds, followed by a pause of at least half a second.
    for second in 1..=10 {
        sleep(SECOND).await;
        rig.produce(b"more", 1);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(rig.counts().taken_items, second + 1);
        assert!(rig.sent.is_empty());
    }
    let (second, body) = rig.next_sent().await;
    assert!(second - first >= 10 * SECOND + SECOND / 2);
    assert_eq!(body.as_ref(), b"first", "the order is kept");
    assert_eq!(rig.counts().failed_requests_by(ExportFailure::Timeout), 1);
    assert_eq!(rig.plan.reconnects.load(Ordering::Relaxed), 1, "a connection that hangs is not used again");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_never_taken_makes_way_for_the_next() {
    let mut rig = Rig::start(Signal::Traces, std::iter::repeat_with(unavailable).take(10));
    rig.produce(b"poison", 3);
    rig.produce(b"harmless", 4);
    for _ in 0..10 {
        assert_eq!(rig.next_sent().await.1.as_ref(), b"poison");
    }
    assert_eq!(rig.next_sent().await.1.as_ref(), b"harmless");
    let (_, counts) = rig.shutdown(SECOND).await;
    assert_eq!(counts.dropped_items_by(DropReason::RetriesExhausted), 3);
    assert_eq!(counts.sent_items, 4);
}

#[tokio::test(start_paused = true)]
async fn warns_once_a_minute_about_each_signal() {
    let mut rig = Rig::start(Signal::Metrics, std::iter::repeat_with(unreachable_collector).take(100));
    rig.produce(b"point", 5);
    let (first, _) = rig.next_sent().await;
    while rig.next_sent().await.0 < first + 150 * SECOND {}
    let warnings = rig.warnings.lock().unwrap().clone();
    let failed: u64 = warnings.iter().map(|warning| warning.failed_requests).sum();
    assert!((2..=3).contains(&warnings.len()), "{warnings:?}");
    assert_eq!(warnings[0].failed_requests, 1, "the first failure is told at once");
    assert!(failed <= rig.counts().failed_requests());
    assert!(warnings[1].failed_requests > 1);
    assert!(warnings.iter().all(|warning| warning.signal == Signal::Metrics));
    assert!(warnings.iter().all(|warning| warning.failure == ExportFailure::ConnectionRefused));
}

#[tokio::test(start_paused = true)]
async fn a_busy_source_does_not_keep_responses_waiting() {
    let started = Instant::now();
    let mut rig = Rig::start(Signal::Traces, []);
    for number in 0..1_000_u64 {
        rig.source.produce(&number.to_be_bytes(), 1);
    }
    rig.link.wake();
    let (_, first) = rig.next_sent().await;
    assert_eq!(first.as_ref(), 0_u64.to_be_bytes());
    assert!(rig.counts().taken_items < 1_000, "it sends before it has collected everything");
    for number in 1..1_000_u64 {
        assert_eq!(rig.next_sent().await.1.as_ref(), number.to_be_bytes());
    }
    assert!(started.elapsed() < 5 * SECOND, "the rest did not wait for the next interval");
}

#[tokio::test(start_paused = true)]
async fn the_next_part_is_taken_when_the_one_before_was_sent() {
    let accepted = || (Duration::ZERO, Reply::Accepted { rejected_items: 0 });
    let replies = std::iter::repeat_with(accepted).take(4).chain([hanging()]);
    let mut rig = Rig::start_with(Signal::Metrics, Arc::new(Parts::default()), replies);
    for expected in [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2]] {
        assert_eq!(rig.next_sent().await.1.as_ref(), expected);
    }
    // That request times out after ten seconds, in which two more collections begin.
    for expected in [[4, 1], [4, 2], [4, 3]] {
        assert_eq!(rig.next_sent().await.1.as_ref(), expected);
    }
    let (_, counts) = rig.shutdown(SECOND).await;
    assert_eq!(
        counts.dropped_items_by(DropReason::Superseded),
        2,
        "the one that hung, and the only one that was taken meanwhile"
    );
    assert_eq!(counts.sent_items, 4 + 3 + 3, "the end sends everything once more");
}

#[tokio::test(start_paused = true)]
async fn shutdown_sends_everything_however_much_it_is() {
    let rig = Rig::start(Signal::Traces, []);
    for number in 0..1_000_u64 {
        rig.source.produce(&number.to_be_bytes(), 2);
    }
    let (took, counts) = rig.shutdown(2 * SECOND).await;
    assert_eq!((counts.sent_items, counts.dropped_items()), (2_000, 0));
    assert!(
        took < 2 * SECOND,
        "nothing made it wait, except a clock that counts whole milliseconds: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_at_the_deadline_when_nobody_answers() {
    let mut rig = Rig::start(Signal::Traces, [hanging()]);
    rig.produce(b"under way", 1);
    rig.next_sent().await;
    rig.source.produce(b"last", 2);
    let (took, counts) = rig.shutdown(2 * SECOND).await;
    assert_eq!(took, 2 * SECOND);
    assert_eq!(counts.dropped_items_by(DropReason::Shutdown), 3);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_at_once_when_the_circuit_is_open_or_half_open() {
    for wait_for_second_attempt in [false, true] {
        let mut rig = Rig::start(Signal::Traces, [unreachable_collector(), hanging()]);
        rig.produce(b"unwanted", 1);
        rig.next_sent().await;
        if wait_for_second_attempt {
            rig.next_sent().await;
        }
        rig.source.produce(b"last", 2);
        tokio::task::yield_now().await;
        let (took, counts) = rig.shutdown(2 * SECOND).await;
        assert_eq!(took, Duration::ZERO);
        assert_eq!(counts.dropped_items_by(DropReason::Shutdown), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_a_pause_only_when_it_ends_in_time() {
    for (pause, expected_wait, sent) in [(1, SECOND, 1), (3, Duration::ZERO, 0)] {
        let later = Reply::TryLater { status: 429, pause: Some(pause * SECOND) };
        let mut rig = Rig::start(Signal::Traces, [(Duration::ZERO, later)]);
        rig.produce(b"throttled", 1);
        rig.next_sent().await;
        // The response is visible after the next iteration of the loop.
        while rig.counts().failed_requests() == 0 {
            tokio::task::yield_now().await;
        }
        let (took, counts) = rig.shutdown(2 * SECOND).await;
        assert!(took >= expected_wait && took <= expected_wait + Duration::from_millis(3), "{took:?}");
        assert_eq!(counts.sent_items, sent);
        assert_eq!(counts.dropped_items_by(DropReason::Shutdown), 1 - sent);
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_stops_trying_when_the_collector_stops_answering() {
    let replies = [(Duration::ZERO, Reply::Accepted { rejected_items: 0 }), unreachable_collector()];
    let rig = Rig::start(Signal::Traces, replies);
    for body in [b"1", b"2", b"3"] {
        rig.source.produce(body, 1);
    }
    let (took, counts) = rig.shutdown(2 * SECOND).await;
    assert!(took < SECOND / 2, "{took:?}");
    assert_eq!((counts.sent_items, counts.dropped_items_by(DropReason::Shutdown)), (1, 2));
}
