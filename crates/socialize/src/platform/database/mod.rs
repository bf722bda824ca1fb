//! The database pool. Every operation has a name, a record and a timeout.

pub(crate) mod database_sessions;
pub(crate) mod facts;
pub(crate) mod migrations;
pub mod requirements;
pub mod schema;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{ConnectionPool, ConnectionState, DatabaseSystem};
use catalogue::{events, metrics, scopes};
use futures_util::FutureExt;
use signal::metric::Label;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use telemetry::meter::{BoundHistogram, BoundUpDownCounter};
use telemetry::record::SpanKind;
use telemetry::{
    ClosedSet, DatabaseCause, DatabaseOutcome, ErrorType, FamilyDescription, Operations, SqlState, Telemetry,
};

/// The server cancels slow statements itself. If it has not responded this long after its limit, it is frozen
/// or unreachable.
const RESPONSE_MARGIN: Duration = Duration::from_secs(1);

/// Minimum time between two renewals of the sessions.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// A transaction; rolled back if dropped without a commit.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

/// A pool, with the time since which its sessions are usable.
pub struct Pool {
    pool: PgPool,
    renewal: Renewal,
}

impl Pool {
    /// Creates a pool that connects on first use and whose sessions can be renewed.
    pub fn connect_lazy_with(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let renewal = Renewal::default();
        let known = renewal.clone();
        let options = options.before_acquire(move |_, session| {
            let is_of_use = !known.is_due(session.age);
            Box::pin(async move { Ok(is_of_use) })
        });
        Self { pool: options.connect_lazy_with(connect), renewal }
    }
}

/// Wraps a foreign pool, whose sessions are never renewed.
impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self { pool, renewal: Renewal::default() }
    }
}

/// Tracks which sessions to close. Postgres decides at the start of a session whether it is read-only, so
/// sessions opened while the server accepted no writes would refuse them for their whole lifetime of half an
/// hour.
#[derive(Clone, Default)]
struct Renewal {
    /// Sessions opened before this instant are closed.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Renewal {
    /// Requests a renewal after a refused write. If every write is refused, sessions are renewed at intervals
    /// and not for every request.
    fn request(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > RENEWAL_PAUSE) {
            *last = Some(Instant::now());
        }
    }

    /// Returns whether a session of this age must be closed.
    fn is_due(&self, age: Duration) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| age > last.elapsed())
    }
}

struct Inner {
    pool: PgPool,
    renewal: Renewal,
    operations: Operations<DatabaseOperation, DatabaseOutcome>,
    wait_time: BoundHistogram,
    pending: BoundUpDownCounter,
    timeouts: Arc<AtomicU64>,
    /// Time after which the server cancels a statement.
    statement_timeout: Duration,
    /// True if the last health check failed; if so, requests fail at once instead of waiting for a
    /// connection.
    is_down: Box<dyn Fn() -> bool + Send + Sync>,
}

pub type Result<T> = std::result::Result<T, DatabaseError>;

/// A failed database operation: its type and, for constraint violations, the constraint. The server's message
/// is dropped, because it may quote a customer's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database failed: {}", .error_type.as_str())]
pub struct DatabaseError {
    pub error_type: ErrorType,
    /// Code of the database's response, if there was one.
    pub sql_state: Option<SqlState>,
    /// Name of the violated constraint.
    pub constraint: Option<String>,
}

impl DatabaseError {
    /// Creates a failure without a response of the database.
    pub(crate) fn without_response(error_type: ErrorType) -> Self {
        Self { error_type, sql_state: None, constraint: None }
    }

    fn cause(&self) -> DatabaseCause {
        DatabaseCause { error_type: self.error_type, sql_state: self.sql_state }
    }

    /// Returns whether this constraint was violated.
    pub fn violates(&self, constraint: &str) -> bool {
        self.constraint.as_deref() == Some(constraint)
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let error_type = match &error {
            sqlx::Error::Database(database) => {
                database.code().map_or(ErrorType::DatabaseOther, |code| ErrorType::from_sqlstate(&code))
            }
            sqlx::Error::Io(io) => ErrorType::from_io(io),
            sqlx::Error::Tls(_) => ErrorType::TlsFailure,
            sqlx::Error::Protocol(_) => ErrorType::Protocol,
            sqlx::Error::PoolTimedOut => ErrorType::PoolTimeout,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => ErrorType::PoolClosed,
            sqlx::Error::RowNotFound => ErrorType::NotFound,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => {
                ErrorType::InvalidData
            }
            _ => ErrorType::Internal,
        };
        let response = error.as_database_error();
        let sql_state = response.and_then(|response| SqlState::from_code(&response.code()?));
        let constraint = response.and_then(|response| response.constraint().map(str::to_owned));
        Self { error_type, sql_state, constraint }
    }
}

impl Database {
    /// Observes `pool`, whose server cancels statements after `statement_timeout`. `is_down` reads the cached
    /// health check.
    pub fn new(
        pool: impl Into<Pool>,
        statement_timeout: Duration,
        telemetry: &Telemetry,
        is_down: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let Pool { pool, renewal } = pool.into();
        let meter = telemetry.meter();
        let family = FamilyDescription {
            event: events::DATABASE_OPERATION,
            span_kind: SpanKind::Client,
            scope: scopes::DATABASE,
            attributes: vec![(DatabaseSystem::KEY, DatabaseSystem::Postgresql.as_str().into())],
        };
        let timeouts = Arc::new(AtomicU64::new(0));
        let observed = pool.clone();
        meter.observe(&metrics::DB_CLIENT_CONNECTION_COUNT, move |(state, _)| {
            let idle = observed.num_idle().min(observed.size() as usize) as f64;
            Some(match state {
                ConnectionState::Idle => idle,
                ConnectionState::Used => f64::from(observed.size()) - idle,
            })
        });
        let max = f64::from(pool.options().get_max_connections());
        meter.observe(&metrics::DB_CLIENT_CONNECTION_MAX, move |_| Some(max));
        let counted = timeouts.clone();
        meter.observe(&metrics::DB_CLIENT_CONNECTION_TIMEOUTS, move |_| Some(counted.load(Relaxed) as f64));
        let inner = Inner {
            operations: Operations::timed_by_cause(
                telemetry,
                family,
                &metrics::DB_CLIENT_OPERATION_DURATION,
                |operation| (operation, DatabaseSystem::Postgresql),
                metrics::DATABASE_FAILURE_KEYS,
            )
            .tallied(),
            wait_time: meter
                .histogram(&metrics::DB_CLIENT_CONNECTION_WAIT_TIME)
                .bind(ConnectionPool::Socialize),
            pending: meter
                .up_down_counter(&metrics::DB_CLIENT_CONNECTION_PENDING)
                .bind(ConnectionPool::Socialize),
            timeouts,
            statement_timeout,
            is_down: Box::new(is_down),
            pool,
            renewal,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        self.inner.statement_timeout
    }

    /// Acquires a connection for statements outside a transaction.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        // Boxed, here and below: sqlx's future takes 4 KiB, and every enclosing future would hold two copies.
        self.connect(DatabaseOperation::AcquireConnection, Box::pin(self.inner.pool.acquire())).await
    }

    /// Begins a transaction on a connection of the pool.
    pub async fn begin(&self) -> Result<Transaction> {
        self.connect(DatabaseOperation::BeginTransaction, Box::pin(self.inner.pool.begin())).await
    }

    /// Commits. Nothing may happen between this and the signal.
    pub async fn commit(&self, transaction: Transaction) -> Result<()> {
        self.run(DatabaseOperation::CommitTransaction, transaction.commit()).await
    }

    /// Runs one statement as the named operation: records a span, a metric point and, if it fails, a log
    /// line.
    pub fn run<T>(
        &self,
        operation: DatabaseOperation,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        self.run_within(self.inner.statement_timeout + RESPONSE_MARGIN, operation, statement)
    }

    /// Like [`Self::run`], with a longer timeout; the connection must allow that as well.
    pub fn run_for<T>(
        &self,
        limit: Duration,
        operation: DatabaseOperation,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        self.run_within(limit + RESPONSE_MARGIN, operation, statement)
    }

    /// Not an async function, which would hold the statement twice.
    fn run_within<T>(
        &self,
        limit: Duration,
        operation: DatabaseOperation,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        let classified = tokio::time::timeout(limit, statement).map(|result| match result {
            Ok(result) => {
                let classified = classify(result);
                if classified.2.is_some_and(|cause| cause.error_type == ErrorType::ReadOnly) {
                    self.inner.renewal.request();
                }
                classified
            }
            Err(_) => {
                let error = DatabaseError::without_response(ErrorType::Timeout);
                let cause = error.cause();
                (Err(error), DatabaseOutcome::Timeout, Some(cause))
            }
        });
        self.inner.operations.observe_causes(operation, classified)
    }

    /// Returns the pool itself, for migrations and listeners that run outside requests.
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    async fn connect<T>(
        &self,
        operation: DatabaseOperation,
        connecting: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T> {
        if (self.inner.is_down)() {
            return Err(DatabaseError::without_response(ErrorType::Unavailable));
        }
        let _pending = self.inner.pending.enter();
        let started = Instant::now();
        // The pool limits the wait for a connection, but not for a statement sent on it.
        let limit =
            self.inner.pool.options().get_acquire_timeout() + self.inner.statement_timeout + RESPONSE_MARGIN;
        let connected = self.run_within(limit, operation, connecting).await;
        self.inner.wait_time.record(started.elapsed().as_nanos() as u64, None);
        if connected.as_ref().is_err_and(|error| error.error_type == ErrorType::PoolTimeout) {
            self.inner.timeouts.fetch_add(1, Relaxed);
        }
        connected
    }
}

/// Reduces sqlx's error to the parts that may be recorded, and returns the outcome.
fn classify<T>(result: sqlx::Result<T>) -> (Result<T>, DatabaseOutcome, Option<DatabaseCause>) {
    match result {
        Ok(value) => (Ok(value), DatabaseOutcome::Ok, None),
        // For the database, a statement that found no row has succeeded.
        Err(sqlx::Error::RowNotFound) => (Err(sqlx::Error::RowNotFound.into()), DatabaseOutcome::Ok, None),
        Err(error) => {
            let error = DatabaseError::from(error);
            let cause = error.cause();
            (Err(error), cause.error_type.into(), Some(cause))
        }
    }
}
