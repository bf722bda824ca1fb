//! The database: a pool whose every operation has a name, a record and a time limit.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::catalogue;
use domain::database_operation::DatabaseOperation;
use domain::events;
use domain::labels::{ConnectionState, ErrorCode};
use domain::recorded;
use futures_util::FutureExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use telemetry::meter::{BoundHistogram, BoundUpDownCounter};
use telemetry::record::SpanKind;
use telemetry::{ClosedSet, DatabaseOutcome, ErrorType, FamilyDescription, Operations, Telemetry};

use crate::error::Error;

/// The server itself ends statements that run too long. One that says nothing for so much longer is frozen, or cut off.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// The shortest time between two renewals of the sessions.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// A transaction; rolled back when it is dropped without a commit.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

/// The pool and what it reports.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

/// A pool and since when its sessions are of use.
pub struct Pool {
    pool: PgPool,
    renewal: Renewal,
}

impl Pool {
    /// A pool that connects when it is first used, and whose sessions can be renewed.
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

/// A pool of somebody else's, whose sessions live as long as it pleases.
impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self { pool, renewal: Renewal::default() }
    }
}

/// Which sessions are used no more. Whether a session may write is decided when it begins, so those that began while the
/// server accepted no writes would refuse them for as long as they live, which is half an hour.
#[derive(Clone, Default)]
struct Renewal {
    /// Sessions that began before are of no use.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Renewal {
    /// A write was refused. As long as all of them are, sessions are renewed once in a while and not for every request.
    fn request(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > RENEWAL_PAUSE) {
            *last = Some(Instant::now());
        }
    }

    /// Whether a session of this age began too early.
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
    /// The server ends statements after this time.
    statement_timeout: Duration,
    /// Whether the last health check failed; then requests fail at once instead of waiting for a connection.
    is_down: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The result of a database operation.
pub type Result<T> = std::result::Result<T, DatabaseError>;

/// A failed database operation: its closed type and, for constraint violations, which constraint. The text of the
/// database's answer is gone, for it may quote a customer's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database failed: {}", .error_type.as_str())]
pub struct DatabaseError {
    /// What kind of failure it was.
    pub error_type: ErrorType,
    /// The name of the violated constraint.
    pub constraint: Option<String>,
}

impl DatabaseError {
    /// Whether this constraint was violated.
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
        let constraint = match &error {
            sqlx::Error::Database(database) => database.constraint().map(str::to_owned),
            _ => None,
        };
        Self { error_type, constraint }
    }
}

/// What refers to the caller where nothing before has looked the caller up.
const REFERENCES_TO_THE_CALLER: [&str; 3] =
    ["organizations_created_by_fkey", "feedback_reports_reporter_id_fkey", "idempotency_keys_user_id_fkey"];

impl From<DatabaseError> for Error {
    #[track_caller]
    fn from(error: DatabaseError) -> Self {
        // The token is valid and its account is gone, which happens when a database is restored from an older copy.
        if REFERENCES_TO_THE_CALLER.iter().any(|constraint| error.violates(constraint)) {
            let message = "The account of this access token does not exist.";
            return Error::refused(ErrorCode::Unauthenticated, message);
        }
        Error::failed(error.error_type)
    }
}

impl Database {
    /// Observes `pool`, whose server ends statements after `statement_timeout`. `is_down` answers from a cached health check.
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
            attributes: vec![(recorded::DB_SYSTEM_NAME, "postgresql".into())],
        };
        let timeouts = Arc::new(AtomicU64::new(0));
        let observed = pool.clone();
        meter.observe(&catalogue::DB_CLIENT_CONNECTION_COUNT, move |state| {
            let idle = observed.num_idle().min(observed.size() as usize) as f64;
            Some(match state {
                ConnectionState::Idle => idle,
                ConnectionState::Used => f64::from(observed.size()) - idle,
            })
        });
        let max = f64::from(pool.options().get_max_connections());
        meter.observe(&catalogue::DB_CLIENT_CONNECTION_MAX, move |()| Some(max));
        let counted = timeouts.clone();
        meter
            .observe(&catalogue::DB_CLIENT_CONNECTION_TIMEOUTS, move |()| Some(counted.load(Relaxed) as f64));
        let inner = Inner {
            operations: Operations::timed(telemetry, family, &catalogue::DB_CLIENT_OPERATION_DURATION)
                .tallied(),
            wait_time: meter.histogram(&catalogue::DB_CLIENT_CONNECTION_WAIT_TIME).bind(()),
            pending: meter.up_down_counter(&catalogue::DB_CLIENT_CONNECTION_PENDING).bind(()),
            timeouts,
            statement_timeout,
            is_down: Box::new(is_down),
            pool,
            renewal,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The server ends statements after this time.
    pub(crate) fn statement_timeout(&self) -> Duration {
        self.inner.statement_timeout
    }

    /// A connection for statements outside a transaction.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        // Boxed, here and below: sqlx's future has 4 KiB, and every layer of futures around it would hold two copies.
        self.connect(DatabaseOperation::AcquireConnection, Box::pin(self.inner.pool.acquire())).await
    }

    /// Begins a transaction on a connection of the pool.
    pub async fn begin(&self) -> Result<Transaction> {
        self.connect(DatabaseOperation::BeginTransaction, Box::pin(self.inner.pool.begin())).await
    }

    /// Commits; afterwards nothing may come before the signal.
    pub async fn commit(&self, transaction: Transaction) -> Result<()> {
        self.run(DatabaseOperation::CommitTransaction, transaction.commit()).await
    }

    /// Runs one statement as the named operation: a span, a point and, where it fails, a line.
    pub fn run<T>(
        &self,
        operation: DatabaseOperation,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        self.run_within(self.inner.statement_timeout + ANSWER_MARGIN, operation, statement)
    }

    /// The same for a statement that may take longer than others; its connection must allow that too.
    pub fn run_for<T>(
        &self,
        limit: Duration,
        operation: DatabaseOperation,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        self.run_within(limit + ANSWER_MARGIN, operation, statement)
    }

    /// No async function, which would hold the statement twice.
    fn run_within<T>(
        &self,
        limit: Duration,
        operation: DatabaseOperation,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        let answered = tokio::time::timeout(limit, statement).map(|answered| match answered {
            Ok(result) => {
                let classified = classify(result);
                if classified.2 == Some(ErrorType::ReadOnly) {
                    self.inner.renewal.request();
                }
                classified
            }
            Err(_) => {
                let error = DatabaseError { error_type: ErrorType::Timeout, constraint: None };
                (Err(error), DatabaseOutcome::Timeout, Some(ErrorType::Timeout))
            }
        });
        self.inner.operations.observe(operation, answered)
    }

    /// The pool itself, for migrations and listeners that live outside any request.
    pub fn pool(&self) -> &PgPool {
        &self.inner.pool
    }

    async fn connect<T>(
        &self,
        operation: DatabaseOperation,
        connecting: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T> {
        if (self.inner.is_down)() {
            return Err(DatabaseError { error_type: ErrorType::Unavailable, constraint: None });
        }
        let _pending = self.inner.pending.enter();
        let started = Instant::now();
        // The pool limits the wait for a connection, and nothing but us the wait for what is sent on it.
        let limit =
            self.inner.pool.options().get_acquire_timeout() + self.inner.statement_timeout + ANSWER_MARGIN;
        let connected = self.run_within(limit, operation, connecting).await;
        self.inner.wait_time.record(started.elapsed().as_nanos() as u64, None);
        if connected.as_ref().is_err_and(|error| error.error_type == ErrorType::PoolTimeout) {
            self.inner.timeouts.fetch_add(1, Relaxed);
        }
        connected
    }
}

/// Reduces the library's error to what may be recorded, and says how the operation ended.
fn classify<T>(result: sqlx::Result<T>) -> (Result<T>, DatabaseOutcome, Option<ErrorType>) {
    match result {
        Ok(value) => (Ok(value), DatabaseOutcome::Ok, None),
        // A statement that was expected to find a row and did not has succeeded as far as the database is concerned.
        Err(sqlx::Error::RowNotFound) => (Err(sqlx::Error::RowNotFound.into()), DatabaseOutcome::Ok, None),
        Err(error) => {
            let error = DatabaseError::from(error);
            let error_type = error.error_type;
            (Err(error), error_type.into(), Some(error_type))
        }
    }
}
