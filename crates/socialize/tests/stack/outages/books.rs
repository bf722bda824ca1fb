//! Accounting: compares recorded telemetry with the stores' contents after an outage.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signal::builtin::Signal;
use telemetry::ClosedSet;

use super::arrived::{self, Points, Spans};
use super::load::Asked;
use super::relay::Sent;
use super::world::World;
use super::written::{Counters, Lines, rotations};
use crate::programs::eventually;

/// State before an outage.
pub(super) struct Before {
    time: u64,
    counters: Counters,
    points: Points,
    sent: [Sent; 3],
    rotations: usize,
}

/// Counts of one signal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// Recorded by the application.
    pub(super) recorded: u64,
    /// Distinct items in the store.
    pub(super) arrived: u64,
    /// Reported as dropped by the application.
    pub(super) dropped: u64,
    /// Rejected permanently by the store.
    pub(super) refused: u64,
    /// Sent to the store again, over all processes.
    pub(super) again: u64,
}

impl Fate {
    /// Items that are neither in the store nor reported as dropped.
    pub(super) fn lost(&self) -> u64 {
        self.recorded.saturating_sub(self.arrived + self.dropped + self.refused)
    }
}

/// Observations of one outage.
pub(super) struct Seen {
    pub(super) requests: usize,
    pub(super) errors: usize,
    pub(super) slow: Duration,
    pub(super) rotations: usize,
    pub(super) lines: Fate,
    pub(super) spans: Fate,
    pub(super) points: Fate,
}

/// Number of slowest requests to ignore for the reported latency: 5 of 100.
const SLOWEST: usize = 20;

/// Waits until the API has accounted for every span that it has recorded since its start.
pub(super) async fn settled(world: &World) {
    eventually("that each span since the start was exported", async || {
        let spans: u64 = Lines::since(0).spans.values().sum();
        let counters = Counters::read(&world.client).await?.spans;
        let told = counters.exported + counters.dropped;
        if told == spans { Ok(()) } else { Err(format!("{counters:?} of {spans}")) }
    })
    .await;
}

impl Before {
    /// Reads the state while there is no traffic and everything has arrived.
    pub(super) async fn read(world: &World) -> Self {
        let points = eventually("that all points have arrived", async || {
            let points = Points::read(&world.prometheus).await?;
            let refused = world.sent()[Signal::Metrics.index()].refused_of_api;
            let told = points.arrived + refused;
            if told == points.accepted { Ok(points) } else { Err(format!("{points:?}, {refused} refused")) }
        })
        .await;
        let counters = Counters::read(&world.client).await.expect("the API's counters");
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        // The resolution of the application's lines.
        let time = since_1970.as_micros() as u64 * 1_000;
        Self { time, counters, points, sent: world.sent(), rotations: rotations() }
    }

    /// Waits until the stores contain everything that is not reported as dropped. Fails on timeout.
    pub(super) async fn compare(self, world: &World, asked: &[Asked]) -> Seen {
        let rotations = rotations() - self.rotations;
        let written = self.lines_of(asked).await;
        let (spans, counters) = self.spans(world, &written).await;
        let lines = self.lines(world, &written).await;
        assert_eq!(counters.lines.dropped, self.counters.lines.dropped, "lines that the application dropped");
        let points = self.points(world, &written).await;
        let mut times: Vec<Duration> = asked.iter().map(|asked| asked.took).collect();
        times.sort_unstable();
        Seen {
            requests: asked.len(),
            errors: asked.iter().filter(|asked| !asked.succeeded).count(),
            slow: times.iter().rev().nth(times.len() / SLOWEST).copied().unwrap_or_default(),
            rotations,
            lines,
            spans,
            points,
        }
    }

    /// Items sent to a store since then.
    fn sent(&self, world: &World, signal: Signal) -> Sent {
        world.sent()[signal.index()] - self.sent[signal.index()]
    }

    /// Asserts that the application has written one line per request.
    async fn lines_of(&self, asked: &[Asked]) -> Lines {
        let written = eventually("a line of each request in the files", async || {
            let written = Lines::since(self.time);
            let missing = asked.iter().filter(|asked| !written.requests.contains_key(&asked.trace)).count();
            if missing == 0 { Ok(written) } else { Err(format!("{missing} of {} are missing", asked.len())) }
        })
        .await;
        assert_eq!(written.requests.len(), asked.len(), "requests of others");
        assert!(written.requests.values().all(|lines| *lines == 1), "a request with two lines");
        assert_eq!(written.alike, 0, "lines that cannot be told from others");
        written
    }

    /// Asserts that Tempo has all spans except those reported as dropped.
    async fn spans(&self, world: &World, written: &Lines) -> (Fate, Counters) {
        let recorded: u64 = written.spans.values().sum();
        let counters = eventually("that each span was exported or dropped", async || {
            let counters = Counters::read(&world.client).await?;
            let spans = counters.spans - self.counters.spans;
            let told = spans.exported + spans.dropped;
            if told == recorded { Ok(counters) } else { Err(format!("{spans:?} of {recorded}")) }
        })
        .await;
        let dropped = (counters.spans - self.counters.spans).dropped;
        let mut found = Spans::default();
        let arrived = eventually("that each exported span is in Tempo", async || {
            let arrived = found.look(&world.client, self.time, &written.spans).await?;
            let refused = self.sent(world, Signal::Traces).refused_of_api;
            if arrived + dropped + refused >= recorded {
                Ok(arrived)
            } else {
                Err(format!("{arrived} of {recorded} arrived, {dropped} were dropped, {refused} refused"))
            }
        })
        .await;
        let Sent { refused_of_api: refused, again, .. } = self.sent(world, Signal::Traces);
        (Fate { recorded, arrived, dropped, refused, again }, counters)
    }

    /// Asserts that Loki has each line exactly once.
    async fn lines(&self, world: &World, written: &Lines) -> Fate {
        let recorded = written.ids.len() as u64;
        let (missing, there) = eventually("that each line is in Loki", async || {
            let there = arrived::lines(&world.client, self.time).await?;
            let missing: Vec<_> = written.ids.iter().filter(|line| !there.contains_key(line)).collect();
            let refused = self.sent(world, Signal::Logs).refused;
            if missing.len() as u64 <= refused {
                return Ok((missing.len() as u64, there));
            }
            Err(format!("{} are missing, {refused} were refused; the first: {:?}", missing.len(), missing[0]))
        })
        .await;
        let twice: Vec<_> = there.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "lines that Loki shows more than once: {twice:?}");
        let Sent { refused, again, .. } = self.sent(world, Signal::Logs);
        Fate { recorded, arrived: recorded - missing, dropped: 0, refused, again }
    }

    /// Asserts that Prometheus has each accepted point, and that the points count every request.
    async fn points(&self, world: &World, written: &Lines) -> Fate {
        let requests = written.requests.len() as u64;
        let points = eventually("that each exported point is in Prometheus", async || {
            let points = Points::read(&world.prometheus).await?;
            let counted = points.requests - self.points.requests;
            let (accepted, arrived) = self.points_since(points);
            let refused = self.sent(world, Signal::Metrics).refused_of_api;
            if arrived + refused >= accepted && counted == requests {
                Ok(points)
            } else {
                Err(format!("{points:?}; {counted} of {requests} requests are counted"))
            }
        })
        .await;
        let (accepted, arrived) = self.points_since(points);
        let dropped = points.dropped - self.points.dropped;
        let Sent { refused_of_api: refused, again, .. } = self.sent(world, Signal::Metrics);
        Fate { recorded: accepted + dropped, arrived, dropped, refused, again }
    }

    /// Number of points accepted since then, and of those in the store.
    fn points_since(&self, now: Points) -> (u64, u64) {
        (now.accepted - self.points.accepted, now.arrived - self.points.arrived)
    }
}
