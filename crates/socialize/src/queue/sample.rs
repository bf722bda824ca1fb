//! Reading depth and age of the queue: by one process, on one connection, and reported by nobody when that is lost.

use chrono::{DateTime, Utc};
use domain::database_operation::DatabaseOperation;
use domain::labels::JobKind;
use domain::vocabulary::parse;
use sqlx::{Connection, PgConnection};
use telemetry::ClosedSet;

use super::signals::QueueSample;
use crate::app::App;
use crate::database::{self, DatabaseError};

/// The advisory lock that one sampler among all processes holds.
const SAMPLER_LOCK: i64 = 0x736f_6369_616c_697a;

/// Samples the queue while it holds the lock. The lock belongs to its connection and the samples are read over the same one,
/// so a sampler that has lost the lock cannot read another sample.
pub(super) struct Sampler {
    app: App,
    connection: Option<PgConnection>,
    is_holder: bool,
}

impl Sampler {
    pub(super) fn new(app: App) -> Self {
        Self { app, connection: None, is_holder: false }
    }

    /// One turn. Where another process samples, this one reports nothing.
    pub(super) async fn turn(&mut self) -> database::Result<()> {
        // Taken out, so that a connection that failed is not used again.
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                self.is_holder = false;
                let options = self.app.database.pool().connect_options();
                PgConnection::connect_with(&options).await.map_err(DatabaseError::from)
            }
        };
        let sampled = match connection {
            Ok(connection) => self.sample(connection).await,
            Err(error) => Err(error),
        };
        if sampled.is_err() || !self.is_holder {
            self.app.jobs.queue_unknown();
        }
        sampled
    }

    async fn sample(&mut self, mut connection: PgConnection) -> database::Result<()> {
        if !self.is_holder {
            let lock = sqlx::query_scalar("select pg_try_advisory_lock($1)")
                .bind(SAMPLER_LOCK)
                .fetch_one(&mut connection);
            self.is_holder = self.app.database.run(DatabaseOperation::LockSampler, lock).await?;
        }
        if self.is_holder {
            let now = self.app.clock.now();
            let samples = read(&self.app, &mut connection, now).await?;
            self.app.jobs.queue_sampled(|kind| samples[kind.index()]);
        }
        self.connection = Some(connection);
        Ok(())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.app.jobs.queue_unknown();
    }
}

/// One sample for each kind, by its index.
async fn read(
    app: &App,
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> database::Result<Vec<QueueSample>> {
    let rows: Vec<(String, i64, f64, i64)> = app
        .database
        .run(
            DatabaseOperation::SampleQueue,
            sqlx::query_as(
                "select kind,
                        count(*) filter (where status <> 'dead'),
                        greatest(0, coalesce(extract(epoch from $1 - min(run_at) filter (where status = 'queued')), 0))::float8,
                        count(*) filter (where status = 'dead')
                 from jobs group by kind",
            )
            .bind(now)
            .fetch_all(&mut *connection),
        )
        .await?;
    let mut samples = vec![QueueSample::default(); JobKind::ALL.len()];
    for (kind, depth, oldest_age_seconds, dead) in rows {
        // A kind of another version is that version's to report.
        if let Ok(kind) = parse::<JobKind>(&kind) {
            samples[kind.index()] = QueueSample { depth, oldest_age_seconds, dead };
        }
    }
    Ok(samples)
}
