//! Sampling of the database: one process per kind of sample, on one connection. When the lock is lost, no
//! process reports.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::Loop;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::platform::database::database_sessions::{self, Parameters};
use crate::platform::database::{self, Database, DatabaseError};

/// Maximum interval between attempts to become the sampler.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Time beyond that interval after which the server ends a silent sampler's connection. A frozen process
/// thereby loses its lock, and another one samples.
const SILENCE: Duration = Duration::from_secs(5);

/// Divisor of the time that sampling may take at most. Queue entries are counted, which takes longer the more
/// there are.
const LARGEST_SHARE: u32 = 20;

/// Advisory lock of the first loop; the others follow it.
const FIRST_LOCK: i64 = 0x736f_6369_616c_697a;

/// A sample that one process takes on behalf of all.
pub trait Sample: Send + Sync {
    /// The loop that takes it.
    fn its_loop(&self) -> Loop;

    /// Interval between two samples.
    fn every(&self) -> Duration;

    /// Maximum duration of its statements, if it differs from that of requests.
    fn statement_timeout(&self) -> Option<Duration> {
        None
    }

    /// Maximum delay after a failed iteration, if it differs from that of other loops.
    fn longest_pause(&self) -> Option<Duration> {
        None
    }

    /// Reads and reports one sample.
    fn take<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, database::Result<()>>;

    /// Stops reporting, because the sample is unknown or another process reports it.
    fn report_nothing(&self);
}

/// Returns the advisory lock that the sampler of a loop holds among all processes.
fn lock_of(which: Loop) -> i64 {
    let place = match which {
        Loop::GaugeSampler => 1,
        Loop::GaugeChecker => 2,
        _ => 0,
    };
    FIRST_LOCK + place
}

/// Samples while it holds the lock. The lock belongs to the connection that also reads the samples, so a
/// sampler that has lost the lock cannot read another sample.
pub(crate) struct Sampler {
    database: Database,
    sample: Box<dyn Sample>,
    next: Instant,
    connection: Option<PgConnection>,
    is_holder: bool,
}

impl Sampler {
    pub(crate) fn new(database: Database, sample: Box<dyn Sample>) -> Self {
        Self { database, sample, next: Instant::now(), connection: None, is_holder: false }
    }

    /// Interval between iterations.
    pub(crate) fn look_every(&self) -> Duration {
        self.sample.every().min(LONGEST_LOOK)
    }

    /// One iteration: samples if it is time and no other process does. While another process samples, this
    /// one reports nothing.
    pub(crate) async fn sample_if_due(&mut self) -> database::Result<()> {
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
            self.sample.report_nothing();
        }
        result
    }

    async fn connect(&self) -> database::Result<PgConnection> {
        let limit = self.sample.statement_timeout().unwrap_or(self.database.statement_timeout());
        let parameters = Parameters::new(limit).ending_idle_after(self.look_every() + SILENCE);
        let options = self.database.pool().connect_options();
        database_sessions::open(&options, &parameters).await.map_err(DatabaseError::from)
    }

    async fn look(&mut self, mut connection: PgConnection) -> database::Result<()> {
        let now = Instant::now();
        if !self.is_holder {
            let lock = sqlx::query_scalar("select pg_try_advisory_lock($1)")
                .bind(lock_of(self.sample.its_loop()))
                .fetch_one(&mut connection);
            self.is_holder = self.database.run(DatabaseOperation::LockSampler, lock).await?;
            // Nobody reports now, so sample at once.
            self.next = now;
        } else if now < self.next {
            let alive = sqlx::query("select 1").execute(&mut connection);
            self.database.run(DatabaseOperation::KeepSamplerLock, alive).await?;
        }
        if self.is_holder && now >= self.next {
            self.sample.take(&mut connection).await?;
            self.next = now + self.sample.every().max(now.elapsed() * LARGEST_SHARE);
        }
        self.connection = Some(connection);
        Ok(())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.sample.report_nothing();
    }
}
