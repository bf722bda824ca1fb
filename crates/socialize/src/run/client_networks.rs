//! Detects an untrusted proxy. Limits count by client network; behind an untrusted proxy every request seems
//! to come from the proxy, so all users share one limit.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::app::App;
use crate::platform::clock::Clock;

/// Period of log-ins that is considered.
const PERIOD: TimeDelta = TimeDelta::days(7);
/// So many people rarely share one private network, unless it is a proxy's.
const PEOPLE: i64 = 3;
/// Delay before the next attempt if the database did not respond at startup.
const PAUSE: Duration = Duration::from_secs(10);

/// Recent users and their networks.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Seen {
    /// Number of users.
    pub people: i64,
    /// Number of distinct client networks.
    pub networks: i64,
    /// True if all these networks are private.
    pub are_private: bool,
}

impl Seen {
    /// Returns whether all users seem to come from one proxy.
    pub fn is_one_proxy(&self) -> bool {
        self.people >= PEOPLE && self.networks == 1 && self.are_private
    }
}

/// Reads recent log-ins from the database.
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

/// Logs a warning at startup if all users seem to come from one untrusted proxy.
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
