//! Hearing of new jobs at once. Nothing depends on it: a worker that hears nothing finds jobs by polling.
//!
//! A connection on which nothing happens is closed by proxies and firewalls, some of which tell nobody. So every turn of the loop proves
//! the connection by a notification to itself, and one that was closed is replaced at once. That is no failure: polling covers the
//! moment in between.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use telemetry::ErrorType;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::enqueue::NOTIFY_CHANNEL;
use crate::app::App;
use crate::database::{self, DatabaseError};

/// The channel on which listeners notify themselves.
const PROOF_CHANNEL: &str = "socialize_listener";
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a notification to oneself may take.
const PROOF_LIMIT: Duration = Duration::from_secs(5);
/// A connection that is closed sooner than this was not closed for being idle. Replacing it at once would be a busy loop.
const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// Listens on a connection of its own, so that it takes none from the requests.
pub(super) struct JobListener {
    app: App,
    /// How long one turn is.
    interval: Duration,
    connection: Option<Listening>,
}

struct Listening {
    connection: PgListener,
    since: Instant,
}

impl JobListener {
    pub(super) fn new(app: App, interval: Duration) -> Self {
        Self { app, interval, connection: None }
    }

    /// Connects, or listens for a while and proves that notifications arrive. Calls `wake` for every notification, and after
    /// every connection that was made, because what was sent before is lost.
    pub(super) async fn turn(&mut self, wake: &Notify) -> database::Result<()> {
        // Taken out, so that a connection that failed is not used again: what is left of it is not worth mending.
        let listening = match self.connection.take() {
            None => self.connect(wake).await?,
            Some(mut listening) => match self.listen(&mut listening.connection, wake).await {
                Ok(()) => listening,
                Err(Ended::Silent) => return Err(timed_out()),
                Err(Ended::Closed(_)) if listening.since.elapsed() >= SHORTEST_LIFE => {
                    self.connect(wake).await?
                }
                Err(Ended::Closed(error)) => return Err(error),
            },
        };
        self.connection = Some(listening);
        Ok(())
    }

    async fn connect(&self, wake: &Notify) -> database::Result<Listening> {
        let connecting = async {
            let options = self.app.database.pool().connect_options().as_ref().clone();
            let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
            let mut connection = PgListener::connect_with(&pool).await?;
            connection.eager_reconnect(false);
            connection.listen_all([NOTIFY_CHANNEL, PROOF_CHANNEL]).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = timeout(CONNECT_LIMIT, connecting).await.map_err(|_elapsed| timed_out())??;
        wake.notify_one();
        Ok(Listening { connection, since: Instant::now() })
    }

    async fn listen(&self, connection: &mut PgListener, wake: &Notify) -> Result<(), Ended> {
        if let Ok(ended) = timeout(self.interval, hear(connection, wake, None)).await {
            return ended;
        }
        timeout(PROOF_LIMIT, prove(connection, wake)).await.unwrap_or(Err(Ended::Silent))
    }
}

/// How a connection ended.
enum Ended {
    /// Somebody closed it, or it broke.
    Closed(DatabaseError),
    /// Nothing arrives on it any more.
    Silent,
}

/// Notifies this connection and waits until that is heard on it.
async fn prove(connection: &mut PgListener, wake: &Notify) -> Result<(), Ended> {
    let proof = Uuid::new_v4().to_string();
    let notify = sqlx::query("select pg_notify($1, $2)").bind(PROOF_CHANNEL).bind(&proof);
    notify.execute(&mut *connection).await.map_err(|error| Ended::Closed(error.into()))?;
    hear(connection, wake, Some(&proof)).await
}

/// Listens until the proof is heard or the connection ends.
async fn hear(connection: &mut PgListener, wake: &Notify, proof: Option<&str>) -> Result<(), Ended> {
    loop {
        match connection.try_recv().await {
            Ok(Some(heard)) if heard.channel() == NOTIFY_CHANNEL => wake.notify_one(),
            Ok(Some(heard)) if proof == Some(heard.payload()) => return Ok(()),
            // Somebody else's proof.
            Ok(Some(_)) => {}
            Ok(None) => {
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                return Err(Ended::Closed(sqlx::Error::from(reset).into()));
            }
            Err(error) => return Err(Ended::Closed(error.into())),
        }
    }
}

fn timed_out() -> DatabaseError {
    DatabaseError { error_type: ErrorType::Timeout, constraint: None }
}
