//! Opens database sessions and sets the parameters that Socialize relies on.
//!
//! A statement after connecting sets them, not startup parameters: PgBouncer refuses startup parameters that
//! it does not track, or drops those listed in `ignore_startup_parameters`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Pool;

/// Parameters of a session, as the SQL that sets them.
///
/// Every session uses `read committed`, which the statements are written for; an operator may have set a
/// stricter default for the server, the database or the role. JIT is off: all statements are short, and with
/// overestimated row counts compiling took longer than running.
#[derive(Clone, Debug)]
pub(crate) struct Parameters(String);

impl Parameters {
    /// Parameters of every session, with a statement timeout; `Duration::ZERO` means none.
    pub(crate) fn new(statement_timeout: Duration) -> Self {
        let mut set = "set default_transaction_isolation = 'read committed';
             set default_transaction_deferrable = off;
             set standard_conforming_strings = on;
             set jit = off"
            .to_owned();
        let _ = write!(set, "; set statement_timeout = {}", statement_timeout.as_millis());
        Self(set)
    }

    /// Makes the server end the session after this idle time.
    pub(crate) fn ending_idle_after(mut self, silence: Duration) -> Self {
        let _ = write!(self.0, "; set idle_session_timeout = {}", silence.as_millis());
        self
    }

    /// Sets the parameters of a session.
    ///
    /// # Errors
    /// Returns an error if the server refuses them.
    pub(crate) async fn set(&self, session: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(self.0.as_str())).execute(session).await.map(drop)
    }
}

/// Opens one session.
///
/// # Errors
/// Returns an error if the server cannot be reached or refuses the parameters.
pub(crate) async fn open(options: &PgConnectOptions, parameters: &Parameters) -> sqlx::Result<PgConnection> {
    let mut session = PgConnection::connect_with(options).await?;
    parameters.set(&mut session).await?;
    Ok(session)
}

/// Creates a pool that opens its sessions on demand.
pub(crate) fn pool(pool: PgPoolOptions, options: PgConnectOptions, parameters: Parameters) -> Pool {
    let pool = pool.after_connect(move |session, _| {
        let parameters = parameters.clone();
        Box::pin(async move { parameters.set(session).await })
    });
    Pool::connect_lazy_with(pool, options)
}

/// Number of times that each connection is asked for its server session. Other clients of a pooler can take the
/// session of one meanwhile.
const ROUNDS: usize = 3;

/// Opens a session, and returns with it whether two connections share server sessions, as with a pooler in
/// transaction or statement mode.
///
/// # Errors
/// Returns an error if the server cannot be reached.
pub(crate) async fn probe(options: &PgConnectOptions) -> sqlx::Result<(PgConnection, bool)> {
    let connect = || PgConnection::connect_with(options);
    let (mut first, mut second) = tokio::try_join!(connect(), connect())?;
    let (mut of_first, mut of_second) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..ROUNDS {
        // One after the other: a pooler gives two concurrent queries a session each.
        of_first.insert(process_id(&mut first).await?);
        of_second.insert(process_id(&mut second).await?);
    }
    let _ = second.close().await;
    let have_own = of_first.len() == 1 && of_second.len() == 1 && of_first != of_second;
    Ok((first, !have_own))
}

/// Returns the process id of the server backend. Sent as a simple query, because in a shared session another
/// connection may have prepared a statement of the same name.
async fn process_id(session: &mut PgConnection) -> sqlx::Result<i32> {
    use sqlx::Row;
    sqlx::raw_sql("select pg_backend_pid()").fetch_one(session).await?.try_get(0)
}
