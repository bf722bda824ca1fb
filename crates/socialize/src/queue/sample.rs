//! Sampling of the database: one process per kind of sample, on one connection. When that is lost, nobody
//! reports.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::Loop;
use sqlx::PgConnection;
use tokio::time::Instant;

use super::depth;
use crate::app::App;
use crate::database::{self, DatabaseError};
use crate::database_sessions::{self, Parameters};
use crate::gauges;

/// Maximum interval between attempts to become the sampler.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Time beyond that interval after which the server ends a silent sampler's connection. A frozen process
/// thereby loses its lock, and another one samples.
const SILENCE: Duration = Duration::from_secs(5);

/// Sampling may take one part in this many of the time. Queue entries are counted, which takes longer the
/// more there are.
const LARGEST_SHARE: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Jobs in the queue.
    Queue,
    /// Numbers of domain objects by state.
    Gauges,
    /// Differences between those counts and the tables.
    GaugeDrift,
}

impl Subject {
    pub(super) fn its_loop(self) -> Loop {
        match self {
            Self::Queue => Loop::QueueSampler,
            Self::Gauges => Loop::GaugeSampler,
            Self::GaugeDrift => Loop::GaugeChecker,
        }
    }

    /// Advisory lock held by the sampler among all processes.
    fn lock(self) -> i64 {
        0x736f_6369_616c_697a + self as i64
    }
}

/// Samples while it holds the lock. The lock belongs to the connection that also reads the samples, so a
/// sampler that has lost the lock cannot read another sample.
pub(super) struct Sampler {
    app: App,
    subject: Subject,
    every: Duration,
    next: Instant,
    connection: Option<PgConnection>,
    is_holder: bool,
}

impl Sampler {
    pub(super) fn new(app: App, subject: Subject, every: Duration) -> Self {
        Self { app, subject, every, next: Instant::now(), connection: None, is_holder: false }
    }

    /// Interval between iterations.
    pub(super) fn look_every(&self) -> Duration {
        self.every.min(LONGEST_LOOK)
    }

    /// One iteration: samples if it is time and no other process does. While another process samples, this
    /// one reports nothing.
    pub(super) async fn turn(&mut self) -> database::Result<()> {
        // Taken out, so that a failed connection is dropped.
        let result = match self.connection.take() {
            Some(connection) => self.look(connection).await,
            None => {
                self.is_holder = false;
                match self.connect().await {
                    Ok(connection) => self.look(connection).await,
                    Err(error) => Err(error),
                }
            }
        };
        if result.is_err() || !self.is_holder {
            self.report_nothing();
        }
        result
    }

    async fn connect(&self) -> database::Result<PgConnection> {
        let limit = match self.subject {
            Subject::GaugeDrift => gauges::COMPARISON_LIMIT,
            Subject::Queue | Subject::Gauges => self.app.database.statement_timeout(),
        };
        let parameters = Parameters::new(limit).ending_idle_after(self.look_every() + SILENCE);
        let options = self.app.database.pool().connect_options();
        database_sessions::open(&options, &parameters).await.map_err(DatabaseError::from)
    }

    async fn look(&mut self, mut connection: PgConnection) -> database::Result<()> {
        let now = Instant::now();
        if !self.is_holder {
            let lock = sqlx::query_scalar("select pg_try_advisory_lock($1)")
                .bind(self.subject.lock())
                .fetch_one(&mut connection);
            self.is_holder = self.app.database.run(DatabaseOperation::LockSampler, lock).await?;
            // Nobody reports now, so sample at once.
            self.next = now;
        } else if now < self.next {
            let alive = sqlx::query("select 1").execute(&mut connection);
            self.app.database.run(DatabaseOperation::KeepSamplerLock, alive).await?;
        }
        if self.is_holder && now >= self.next {
            self.sample(&mut connection).await?;
            self.next = now + self.every.max(now.elapsed() * LARGEST_SHARE);
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn sample(&self, connection: &mut PgConnection) -> database::Result<()> {
        match self.subject {
            Subject::Queue => depth::sample(&self.app, connection).await,
            Subject::Gauges => gauges::sample(&self.app, connection).await,
            Subject::GaugeDrift => {
                let differences = gauges::compare(&self.app.database, connection).await?;
                self.app.gauges.compared(&differences);
                Ok(())
            }
        }
    }

    fn report_nothing(&self) {
        match self.subject {
            Subject::Queue => self.app.jobs.queue_unknown(),
            Subject::Gauges => self.app.gauges.sample_unknown(),
            Subject::GaugeDrift => self.app.gauges.drift_unknown(),
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.report_nothing();
    }
}
