//! Cost of recording a job run. The work itself is empty.

use catalogue::labels::JobKind;
use catalogue::metrics;
use telemetry::record::SpanKind;
use telemetry::{
    Attributes, ErrorType, FamilyDescription, JobOutcome, Key, Operations, SpanContext, SpanId, Telemetry,
    TraceId,
};

use crate::recording::{Recording, take};
use crate::things::{STORED, ThingId};

static JOB_ID: Key = Key("job.id");
static ATTEMPT: Key = Key("job.attempt");

/// Runs jobs as the worker does: with their ids, linked to the request that enqueued them.
pub(crate) async fn run_jobs(
    count: u64,
    telemetry: Option<&Telemetry>,
    recording: Option<&Recording>,
) -> anyhow::Result<()> {
    let jobs = telemetry.map(operations_of_jobs);
    let enqueued_by = SpanContext { trace_id: TraceId::random(), span_id: SpanId::random(), sampled: true };
    let describe = |attributes: &mut Attributes| {
        attributes.id(&JOB_ID, ThingId(STORED));
        attributes.number(&ATTEMPT, 1);
    };
    for number in 1..=count {
        match &jobs {
            None => work().await.0,
            Some(jobs) => jobs.run(JobKind::SendEmail, Some(enqueued_by), describe, work()).await,
        }
        take(recording, number);
    }
    Ok(())
}

pub(crate) fn operations_of_jobs(telemetry: &Telemetry) -> Operations<JobKind, JobOutcome> {
    let family = FamilyDescription {
        event: "socialize.job.run",
        span_kind: SpanKind::Consumer,
        scope: catalogue::scopes::QUEUE,
        attributes: Vec::new(),
    };
    Operations::timed(telemetry, family, &metrics::JOB_RUN_DURATION)
}

async fn work() -> ((), JobOutcome, Option<ErrorType>) {
    ((), JobOutcome::Ok, None)
}
