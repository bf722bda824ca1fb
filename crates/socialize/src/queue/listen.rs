//! Hearing of new jobs at once. Nothing depends on it: a worker that hears nothing finds jobs by polling.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use telemetry::ClosedSet;
use tokio::sync::Notify;

use super::enqueue::NOTIFY_CHANNEL;
use crate::app::App;
use crate::database::DatabaseError;

/// The pause before connecting again after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Calls `wake` for every notification, and after every connection that was made, because what was sent before is lost.
/// Never ends by itself.
pub(super) async fn wake_on_notifications(app: &App, wake: &Notify) {
    let mut pause = FIRST_PAUSE;
    loop {
        match listen(app).await {
            Ok(mut listener) => {
                pause = FIRST_PAUSE;
                wake.notify_one();
                while let Ok(Some(_)) = listener.try_recv().await {
                    wake.notify_one();
                }
                tracing::warn!(name: "job.listener.disconnected", "no longer hears of new jobs at once");
            }
            Err(error) => {
                let error_type = DatabaseError::from(error).error_type;
                tracing::warn!(
                    name: "job.listener.failed",
                    { "error.type" = error_type.as_str() },
                    "cannot hear of new jobs at once"
                );
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Listens on a connection of its own, so that it takes none from the requests. A new one each time: what is left of a broken
/// connection is not worth mending.
async fn listen(app: &App) -> sqlx::Result<PgListener> {
    let options = app.database.pool().connect_options().as_ref().clone();
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(NOTIFY_CHANNEL).await?;
    Ok(listener)
}
