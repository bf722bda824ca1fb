//! Cost of recording a child of a request: a database operation, or a call to another service.
//!
//! The work itself is empty, so only the record is counted.

use std::hint::black_box;

use catalogue::database_operation::DatabaseOperation;
use catalogue::events;
use catalogue::labels::{DatabaseSystem, JobKind, Peer};
use catalogue::metrics::{DATABASE_FAILURE_KEYS, DB_CLIENT_OPERATION_DURATION};
use signal::metric::Label;
use telemetry::http_client::HttpClient;
use telemetry::record::SpanKind;
use telemetry::{
    Attributes, ClosedSet, DatabaseOutcome, ErrorType, FamilyDescription, JobOutcome, Key, Operations,
    Telemetry,
};

use crate::jobs::operations_of_jobs;
use crate::recording::{Recording, take};
use crate::things::{STORED, ThingId};

static JOB_ID: Key = Key("job.id");

/// Records `count` database operations within one job run.
pub(crate) async fn run_database_operations(count: u64, recording: Option<&Recording>) {
    let operations = recording.map(|recording| database_operations(&recording.telemetry));
    let work = async {
        for number in 1..=count {
            match &operations {
                None => drop(black_box(statement().await)),
                Some(operations) => {
                    operations.observe(DatabaseOperation::FindOrganization, statement()).await;
                }
            }
            take(recording, number);
        }
    };
    within_a_job(recording, work).await;
}

/// Records `count` outgoing calls within one job run.
pub(crate) async fn run_outbound_calls(count: u64, recording: Option<&Recording>) {
    let calls = recording.map(|recording| HttpClient::<Peer>::new(&recording.telemetry, "POST"));
    let work = async {
        for number in 1..=count {
            if let Some(calls) = &calls {
                let mut call = calls.begin(Peer::PublishingEndpoint);
                call.describe(|attributes| attributes.id(&JOB_ID, ThingId(STORED)));
                black_box(call.context());
                black_box(call.responded(200));
            }
            take(recording, number);
        }
    };
    within_a_job(recording, work).await;
}

async fn statement() -> ((), DatabaseOutcome, Option<ErrorType>) {
    ((), DatabaseOutcome::Ok, None)
}

/// Describes database operations like the application.
fn database_operations(telemetry: &Telemetry) -> Operations<DatabaseOperation, DatabaseOutcome> {
    let family = FamilyDescription {
        event: events::DATABASE_OPERATION,
        span_kind: SpanKind::Client,
        scope: catalogue::scopes::DATABASE,
        attributes: vec![(DatabaseSystem::KEY, DatabaseSystem::Postgresql.as_str().into())],
    };
    let labels = |operation| (operation, DatabaseSystem::Postgresql);
    Operations::timed_by_cause(
        telemetry,
        family,
        &DB_CLIENT_OPERATION_DURATION,
        labels,
        DATABASE_FAILURE_KEYS,
    )
    .tallied()
}

/// Runs the work within a job, because children have a parent. The parent's own record is one among
/// thousands.
async fn within_a_job(recording: Option<&Recording>, work: impl Future<Output = ()>) {
    let Some(recording) = recording else { return work.await };
    let jobs: Operations<JobKind, JobOutcome> = operations_of_jobs(&recording.telemetry);
    let describe = |_: &mut Attributes| ();
    let work = async {
        work.await;
        ((), JobOutcome::Ok, None)
    };
    jobs.run(JobKind::SendEmail, None, describe, work).await;
}
