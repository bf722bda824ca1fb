//! Opening sessions of the database and setting what Socialize relies on in each.
//!
//! Parameters are set by a statement after connecting and not as startup parameters: PgBouncer refuses startup parameters that it does
//! not track, or drops them where `ignore_startup_parameters` lists them.

use std::fmt::Write;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::database::Pool;

/// Parameters of a session, as one SQL text that sets them.
///
/// Every session reads the newest committed rows: the statements are written for `read committed`, and an operator may have set a
/// stricter default for the server, the database or the role. No statement is compiled: all are short, and where Postgres expects more
/// rows than there are, compiling took longer than the statement.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(String);

impl Parameters {
    /// The parameters of every session, and a limit for each statement; `Duration::ZERO` is no limit.
    pub(crate) fn new(statement_timeout: Duration) -> Self {
        let mut set = "set default_transaction_isolation = 'read committed';
             set default_transaction_deferrable = off;
             set standard_conforming_strings = on;
             set jit = off"
            .to_owned();
        let _ = write!(set, "; set statement_timeout = {}", statement_timeout.as_millis());
        Self(set)
    }

    /// The server ends the session when it is idle for longer.
    pub(crate) fn ending_idle_after(mut self, silence: Duration) -> Self {
        let _ = write!(self.0, "; set idle_session_timeout = {}", silence.as_millis());
        self
    }

    async fn set(&self, session: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(self.0.as_str())).execute(session).await.map(drop)
    }
}

/// Opens one session.
///
/// # Errors
/// When the server cannot be reached or refuses the parameters.
pub(crate) async fn open(options: &PgConnectOptions, parameters: &Parameters) -> sqlx::Result<PgConnection> {
    let mut session = PgConnection::connect_with(options).await?;
    parameters.set(&mut session).await?;
    Ok(session)
}

/// A pool that opens its sessions when they are needed.
pub(crate) fn pool(pool: PgPoolOptions, options: PgConnectOptions, parameters: Parameters) -> Pool {
    let pool = pool.after_connect(move |session, _| {
        let parameters = parameters.clone();
        Box::pin(async move { parameters.set(session).await })
    });
    Pool::connect_lazy_with(pool, options)
}

/// Whether two connections of ours are handed the same session of the server, as a pooler in transaction or statement mode does.
///
/// # Errors
/// When the server cannot be reached.
pub(crate) async fn are_shared(options: &PgConnectOptions) -> sqlx::Result<bool> {
    let mut first = PgConnection::connect_with(options).await?;
    let one = process_id(&mut first).await?;
    let mut second = PgConnection::connect_with(options).await?;
    let other = process_id(&mut second).await?;
    let _ = tokio::join!(first.close(), second.close());
    Ok(one == other)
}

/// The process of the server that runs this statement. It is no prepared statement, for another connection may have prepared one of the
/// same name in a shared session.
async fn process_id(session: &mut PgConnection) -> sqlx::Result<i32> {
    use sqlx::Row;
    sqlx::raw_sql("select pg_backend_pid()").fetch_one(session).await?.try_get(0)
}
