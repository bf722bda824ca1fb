//! Samples of the queue.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{JobKind, Loop};
use domain::vocabulary::parse;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use telemetry::ClosedSet;

use crate::platform::database;
use crate::platform::sampler::Sample;
use crate::queue::handle::Queue;
use crate::queue::signals::QueueSample;

/// Depth, age and dead letters of every kind.
pub(super) struct QueueDepth {
    pub(super) queue: Queue,
    pub(super) every: Duration,
}

impl Sample for QueueDepth {
    fn its_loop(&self) -> Loop {
        Loop::QueueSampler
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn take<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, database::Result<()>> {
        Box::pin(report(&self.queue, connection))
    }

    fn report_nothing(&self) {
        self.queue.signals.queue_unknown();
    }
}

async fn report(queue: &Queue, connection: &mut PgConnection) -> database::Result<()> {
    let rows: Vec<(String, i64, f64, i64)> = queue
        .database
        .run(
            DatabaseOperation::SampleQueue,
            sqlx::query_as(
                "select kind,
                        count(*) filter (where status <> 'dead'),
                        greatest(0, coalesce(extract(epoch from
                            coalesce($1, statement_timestamp()) - min(run_at) filter (where status = 'queued')
                        ), 0))::float8,
                        count(*) filter (where status = 'dead')
                 from jobs group by kind",
            )
            .bind(queue.clock.for_database())
            .fetch_all(&mut *connection),
        )
        .await?;
    let mut samples = vec![QueueSample::default(); JobKind::ALL.len()];
    for (kind, depth, oldest_age_seconds, dead) in rows {
        // Unknown kinds belong to another version, which reports them.
        if let Ok(kind) = parse::<JobKind>(&kind) {
            samples[kind.index()] = QueueSample { depth, oldest_age_seconds, dead };
        }
    }
    queue.signals.queue_sampled(|kind| samples[kind.index()]);
    Ok(())
}
