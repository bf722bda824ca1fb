//! Content of the view: the state of the process, the facts and the simulated people at one moment.

use std::time::Duration;

use catalogue::labels::{
    BlobOperation, BlobOutcome, EmailOutcome, EmailTemplate, JobKind, PublishingOutcome,
};
use catalogue::metrics;
use signal::builtin;
use signal::metric::{Label, MetricDescription};
use socialize::app::App;
use telemetry::health::HealthDetail;
use telemetry::meter::{Snapshot, Value};
use telemetry::{ClosedSet, JobOutcome, Outcome};
use tokio::time::Instant;

use super::gauges::{Gauges, dead_letters};
use super::ledger::Facts;
use super::receiver::Receiver;
use super::traffic::{Requests, Traffic, TrafficMeter};
use super::usage::{DrivenFacts, UsageCount, usage};
use crate::simulate::{Driven, Tally};

/// Phase of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// People are active.
    Running,
    /// People finish their actions, then the server drains.
    Draining,
}

/// All data of the view, at one moment.
#[derive(Clone)]
pub(super) struct ViewState {
    pub(super) phase: Phase,
    pub(super) elapsed: Duration,
    pub(super) health: HealthDetail,
    pub(super) requests: u64,
    pub(super) traffic: Traffic,
    pub(super) usage: Vec<UsageCount>,
    pub(super) driven: Driven,
    pub(super) jobs: Jobs,
    pub(super) emails: Emails,
    pub(super) files: Files,
    pub(super) posts: Posts,
    /// Contents of the database; `None` while no process samples.
    pub(super) gauges: Option<Gauges>,
    /// Dead letters by kind.
    pub(super) dead_letters: Vec<(&'static str, u64)>,
    pub(super) memory_bytes: Option<f64>,
    /// Items of telemetry that were dropped.
    pub(super) dropped: u64,
    /// The newest log lines, oldest first.
    pub(super) log: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Jobs {
    /// Number of waiting and running jobs; `None` before the first reading.
    pub(super) depth: Option<u64>,
    /// Waiting time of the oldest due job.
    pub(super) oldest_age: Option<Duration>,
    pub(super) dead: Option<u64>,
    /// Successful runs.
    pub(super) ok: u64,
    /// Failed runs.
    pub(super) not_ok: u64,
}

/// Deliveries of e-mails by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Emails {
    pub(super) delivered: u64,
    pub(super) deferred: u64,
    pub(super) refused: u64,
}

/// Operations on uploaded files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Stored, in one request or in parts.
    pub(super) stored: u64,
    /// Read to the end.
    pub(super) read: u64,
    pub(super) failed: u64,
}

/// Deliveries to publishing endpoints by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Posts {
    pub(super) delivered: u64,
    pub(super) deferred: u64,
    pub(super) failed: u64,
    /// Number of distinct posts that the receiver has accepted.
    pub(super) taken: u64,
}

/// Builds view states repeatedly.
pub(super) struct Observer {
    app: App,
    tally: Tally,
    receiver: Receiver,
    started: Instant,
    traffic: TrafficMeter,
    last: Requests,
}

impl Observer {
    pub(super) fn new(app: App, tally: Tally, receiver: Receiver) -> Self {
        let (started, traffic) = (Instant::now(), TrafficMeter::default());
        Self { app, tally, receiver, started, traffic, last: Requests::default() }
    }

    pub(super) fn observe(&mut self, phase: Phase, facts: &Facts, log: Vec<String>) -> ViewState {
        let elapsed = self.started.elapsed();
        let snapshot = self.app.telemetry.meter().snapshot();
        let driven = self.tally.snapshot();
        let requests = Requests::read(&snapshot);
        self.last = requests.clone();
        let count = requests.count();
        ViewState {
            phase,
            elapsed,
            health: self.app.health.detail(),
            requests: count,
            traffic: self.traffic.sample(elapsed, requests),
            usage: usage(&snapshot, facts, DrivenFacts::of(&driven, count)),
            driven,
            jobs: jobs(&snapshot),
            emails: emails(&snapshot),
            files: files(&snapshot),
            posts: posts(&snapshot, self.receiver.taken()),
            gauges: Gauges::read(&snapshot),
            dead_letters: dead_letters(&snapshot),
            memory_bytes: match snapshot.value(builtin::PROCESS_MEMORY_USAGE.description().name, &[]) {
                Some(Value::Number(bytes)) => Some(*bytes),
                _ => None,
            },
            dropped: sum(&snapshot, builtin::DROPPED.description()) as u64,
            log,
        }
    }

    /// All requests until the last state.
    pub(super) fn requests(&self) -> &Requests {
        &self.last
    }
}

fn jobs(snapshot: &Snapshot) -> Jobs {
    let read = |metric: MetricDescription, kind: &JobKind| match snapshot
        .value(metric.name, &[(JobKind::KEY, kind.as_str())])
    {
        Some(Value::Number(value)) => Some(*value),
        _ => None,
    };
    let all = |metric: MetricDescription| {
        JobKind::ALL.iter().filter_map(|kind| read(metric, kind)).reduce(|sum, value| sum + value)
    };
    let ages = JobKind::ALL.iter().filter_map(|kind| read(metrics::JOB_QUEUE_OLDEST_AGE.description(), kind));
    let (mut ok, mut not_ok) = (0, 0);
    let name = metrics::JOB_RUN_DURATION.description().name;
    let families = snapshot.families.iter().filter(|family| family.description.name == name);
    for (labels, value) in families.flat_map(|family| &family.points) {
        let Value::Distribution(runs) = value else { continue };
        let is_ok = labels
            .iter()
            .any(|(key, value)| *key == JobOutcome::KEY && value.as_str() == JobOutcome::Ok.as_str());
        *(if is_ok { &mut ok } else { &mut not_ok }) += runs.count();
    }
    Jobs {
        depth: all(metrics::JOB_QUEUE_DEPTH.description()).map(|depth| depth as u64),
        oldest_age: ages.reduce(f64::max).and_then(|age| Duration::try_from_secs_f64(age).ok()),
        dead: all(metrics::JOB_QUEUE_DEAD.description()).map(|dead| dead as u64),
        ok,
        not_ok,
    }
}

fn emails(snapshot: &Snapshot) -> Emails {
    let name = metrics::EMAIL_DELIVERIES.description().name;
    let count = |outcome: EmailOutcome| {
        let of_template = |template: &EmailTemplate| {
            let labels = [(EmailTemplate::KEY, template.as_str()), (EmailOutcome::KEY, outcome.as_str())];
            match snapshot.value(name, &labels) {
                Some(Value::Integer(count)) => count.unsigned_abs(),
                _ => 0,
            }
        };
        EmailTemplate::ALL.iter().map(of_template).sum()
    };
    Emails {
        delivered: count(EmailOutcome::Delivered),
        deferred: count(EmailOutcome::Deferred),
        refused: count(EmailOutcome::Rejected) + count(EmailOutcome::Refused),
    }
}

fn files(snapshot: &Snapshot) -> Files {
    let name = metrics::BLOB_OPERATION_DURATION.description().name;
    let count = |operation: BlobOperation, outcome: BlobOutcome| {
        let labels = [(BlobOperation::KEY, operation.as_str()), (BlobOutcome::KEY, outcome.as_str())];
        match snapshot.value(name, &labels) {
            Some(Value::Distribution(operations)) => operations.count(),
            _ => 0,
        }
    };
    let ok = |operation| count(operation, BlobOutcome::Ok);
    let failures = BlobOutcome::ALL.iter().filter(|outcome| outcome.is_error());
    Files {
        stored: ok(BlobOperation::Put) + ok(BlobOperation::CompleteParts),
        read: ok(BlobOperation::Read),
        failed: failures
            .flat_map(|outcome| BlobOperation::ALL.iter().map(|operation| count(*operation, *outcome)))
            .sum(),
    }
}

fn posts(snapshot: &Snapshot, taken: u64) -> Posts {
    let name = metrics::PUBLISHING_DELIVERIES.description().name;
    let count = |outcome: PublishingOutcome| match snapshot
        .value(name, &[(PublishingOutcome::KEY, outcome.as_str())])
    {
        Some(Value::Integer(count)) => count.unsigned_abs(),
        _ => 0,
    };
    Posts {
        delivered: count(PublishingOutcome::Delivered),
        deferred: count(PublishingOutcome::Deferred),
        failed: count(PublishingOutcome::Failed),
        taken,
    }
}

fn sum(snapshot: &Snapshot, metric: MetricDescription) -> f64 {
    let families = snapshot.families.iter().filter(|family| family.description.name == metric.name);
    let values = families.flat_map(|family| &family.points).map(|(_, value)| match value {
        Value::Integer(count) => *count as f64,
        Value::Number(value) => *value,
        Value::Distribution(_) => 0.0,
    });
    values.sum()
}
