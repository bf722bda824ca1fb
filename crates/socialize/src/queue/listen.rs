//! Hearing of new jobs at once. Nothing depends on it: a worker that hears nothing finds jobs by polling.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::enqueue::NOTIFY_CHANNEL;
use crate::app::App;
use crate::database::{self, DatabaseError};

/// How long one turn of the loop is: a loop that listens in silence shows that it does.
const TURN: Duration = Duration::from_secs(10);

/// Listens on a connection of its own, so that it takes none from the requests.
pub(super) struct JobListener {
    app: App,
    connection: Option<PgListener>,
}

impl JobListener {
    pub(super) fn new(app: App) -> Self {
        Self { app, connection: None }
    }

    /// Connects, or listens for a while. Calls `wake` for every notification, and after every connection that was made,
    /// because what was sent before is lost.
    pub(super) async fn turn(&mut self, wake: &Notify) -> database::Result<()> {
        // Taken out, so that a connection that failed is not used again: what is left of it is not worth mending.
        let Some(mut connection) = self.connection.take() else {
            self.connection = Some(self.connect().await.map_err(DatabaseError::from)?);
            wake.notify_one();
            return Ok(());
        };
        match timeout(TURN, hear(&mut connection, wake)).await {
            Ok(error) => Err(error),
            Err(_elapsed) => {
                self.connection = Some(connection);
                Ok(())
            }
        }
    }

    async fn connect(&self) -> sqlx::Result<PgListener> {
        let options = self.app.database.pool().connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(NOTIFY_CHANNEL).await?;
        Ok(listener)
    }
}

/// Ends when the connection does.
async fn hear(connection: &mut PgListener, wake: &Notify) -> DatabaseError {
    loop {
        match connection.try_recv().await {
            Ok(Some(_)) => wake.notify_one(),
            Ok(None) => {
                return sqlx::Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset)).into();
            }
            Err(error) => return error.into(),
        }
    }
}
