//! Signals of background work.

use catalogue::labels::{JobKind, Loop};
use catalogue::{events, metrics, scopes};
use chrono::{DateTime, Utc};
use telemetry::meter::{Counter, Gauge};
use telemetry::record::SpanKind;
use telemetry::{ClosedSet, FamilyDescription, JobOutcome, Operations, Telemetry};

/// The instruments of the queue.
pub(super) struct JobSignals {
    pub(super) runs: Operations<JobKind, JobOutcome>,
    depth: Gauge<JobKind>,
    oldest_age: Gauge<JobKind>,
    dead: Gauge<JobKind>,
    job_last_success: Gauge<JobKind>,
    loop_last_success: Gauge<Loop>,
    loop_failures: Counter<Loop>,
}

/// Sample of the queue for one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct QueueSample {
    pub(super) depth: i64,
    pub(super) oldest_age_seconds: f64,
    pub(super) dead: i64,
}

impl JobSignals {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter();
        let family = FamilyDescription {
            event: events::JOB_RUN,
            span_kind: SpanKind::Consumer,
            scope: scopes::QUEUE,
            attributes: Vec::new(),
        };
        Self {
            runs: Operations::timed(telemetry, family, &metrics::JOB_RUN_DURATION),
            depth: meter.gauge(&metrics::JOB_QUEUE_DEPTH),
            oldest_age: meter.gauge(&metrics::JOB_QUEUE_OLDEST_AGE),
            dead: meter.gauge(&metrics::JOB_QUEUE_DEAD),
            job_last_success: meter.gauge(&metrics::JOB_LAST_SUCCESS),
            loop_last_success: meter.gauge(&metrics::LOOP_LAST_SUCCESS),
            loop_failures: meter.counter(&metrics::LOOP_FAILURES),
        }
    }

    /// Records a successful iteration of a loop.
    pub(super) fn loop_succeeded(&self, which: Loop, now: DateTime<Utc>) {
        self.loop_last_success.set(which, unix_seconds(now));
    }

    /// Records a failed iteration of a loop.
    pub(super) fn loop_failed(&self, which: Loop) {
        self.loop_failures.add(which, 1);
    }

    /// Records a successful job.
    pub(super) fn job_succeeded(&self, kind: JobKind, now: DateTime<Utc>) {
        self.job_last_success.set(kind, unix_seconds(now));
    }

    /// Reports a sample; kinds without jobs are reported as 0.
    pub(super) fn queue_sampled(&self, sample: impl Fn(JobKind) -> QueueSample) {
        for kind in JobKind::ALL {
            let QueueSample { depth, oldest_age_seconds, dead } = sample(*kind);
            self.depth.set(*kind, depth as f64);
            self.oldest_age.set(*kind, oldest_age_seconds);
            self.dead.set(*kind, dead as f64);
        }
    }

    /// Stops reporting, because the sample is unknown or another process reports it.
    pub(super) fn queue_unknown(&self) {
        self.depth.clear();
        self.oldest_age.clear();
        self.dead.clear();
    }
}

fn unix_seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}
