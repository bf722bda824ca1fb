//! Whether the networks of clients can be told apart. Limits count by client network; behind a proxy that is not trusted, every
//! request seems to come from the proxy, and everybody shares one limit.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::database_operation::DatabaseOperation;
use sqlx::PgConnection;

use crate::app::App;
use crate::clock::Clock;

/// How far back to look.
const PERIOD: TimeDelta = TimeDelta::days(7);
/// So many people seldom share one private network, unless it is that of a proxy.
const PEOPLE: i64 = 3;
/// The pause before the database is asked again when it did not answer at start.
const PAUSE: Duration = Duration::from_secs(10);

/// Where users were seen lately.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Seen {
    /// How many of them.
    pub people: i64,
    /// From how many networks together.
    pub networks: i64,
    /// Whether all of these are private.
    pub are_private: bool,
}

impl Seen {
    /// Whether everybody seems to come from one proxy.
    pub fn is_one_proxy(&self) -> bool {
        self.people >= PEOPLE && self.networks == 1 && self.are_private
    }
}

/// Asks the database.
///
/// # Errors
/// When the database fails.
pub async fn look(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Seen> {
    sqlx::query_as(
        "select count(distinct user_id) as people, count(distinct network) as networks,
             coalesce(bool_and(is_private), false) as are_private
         from known_networks where seen_at > $1",
    )
    .bind(now - PERIOD)
    .fetch_one(connection)
    .await
}

/// Writes a line at start if everybody seems to come from one proxy that is not trusted.
pub async fn warn_at_start(app: App) {
    if !app.settings.trusted_peers.is_empty() {
        return;
    }
    let seen = loop {
        let looked = async {
            let mut connection = app.database.acquire().await?;
            let now = Clock::default().now();
            app.database.run(DatabaseOperation::FindClientNetworks, look(&mut connection, now)).await
        };
        match looked.await {
            Ok(seen) => break seen,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    if seen.is_one_proxy() {
        tracing::event!(name: "clients.share_one_address", tracing::Level::WARN, count = seen.people);
    }
}
