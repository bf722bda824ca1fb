//! Notifications of new jobs. Nothing depends on them: without them a worker finds jobs by polling.
//!
//! Proxies and firewalls close idle connections, some without notice. So every iteration of the loop probes
//! the connection by notifying itself, and replaces it at once if it was closed. That is not a failure,
//! because polling covers the gap.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use telemetry::ErrorType;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::platform::database::{self, DatabaseError};
use crate::queue::enqueue::NOTIFY_CHANNEL;
use crate::queue::handle::Queue;

/// Channel of these probes.
const PROOF_CHANNEL: &str = "socialize_listener";
/// Maximum time for connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Maximum time for a probe.
const PROOF_LIMIT: Duration = Duration::from_secs(5);
/// A connection that closes sooner was not closed for being idle. Replacing it at once would be a busy loop.
const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// Listens on a connection outside the pool, so that requests lose none.
pub(super) struct JobListener {
    queue: Queue,
    /// Duration of one iteration.
    interval: Duration,
    connection: Option<Listening>,
}

struct Listening {
    connection: PgListener,
    since: Instant,
}

impl JobListener {
    pub(super) fn new(queue: Queue, interval: Duration) -> Self {
        Self { queue, interval, connection: None }
    }

    /// Connects, or listens for a while and probes the connection. Calls `wake` for every notification, and
    /// after every new connection, because earlier notifications are lost.
    pub(super) async fn keep_listening(&mut self, wake: &Notify) -> database::Result<()> {
        // Taken out, so that a failed connection is dropped.
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
            let options = self.queue.database.pool().connect_options().as_ref().clone();
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

/// End of a connection.
enum Ended {
    /// It was closed or broke.
    Closed(DatabaseError),
    /// Nothing arrives on it any more.
    Silent,
}

/// Sends a notification to this connection and waits for it.
async fn prove(connection: &mut PgListener, wake: &Notify) -> Result<(), Ended> {
    let proof = Uuid::new_v4().to_string();
    let notify = sqlx::query("select pg_notify($1, $2)").bind(PROOF_CHANNEL).bind(&proof);
    notify.execute(&mut *connection).await.map_err(|error| Ended::Closed(error.into()))?;
    hear(connection, wake, Some(&proof)).await
}

/// Listens until the probe arrives or the connection ends.
async fn hear(connection: &mut PgListener, wake: &Notify, proof: Option<&str>) -> Result<(), Ended> {
    loop {
        match connection.try_recv().await {
            Ok(Some(heard)) if heard.channel() == NOTIFY_CHANNEL => wake.notify_one(),
            Ok(Some(heard)) if proof == Some(heard.payload()) => return Ok(()),
            // Another listener's probe.
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
    DatabaseError::without_response(ErrorType::Timeout)
}
