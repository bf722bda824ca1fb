//! Samples of the queue.

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use domain::vocabulary::parse;
use sqlx::PgConnection;
use telemetry::ClosedSet;

use super::signals::QueueSample;
use crate::app::App;
use crate::database;

/// Reports depth, age and dead letters of every kind.
pub(super) async fn sample(app: &App, connection: &mut PgConnection) -> database::Result<()> {
    let rows: Vec<(String, i64, f64, i64)> = app
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
            .bind(app.clock.for_database())
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
    app.jobs.queue_sampled(|kind| samples[kind.index()]);
    Ok(())
}
