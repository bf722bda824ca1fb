//! Business facts in the database, for comparison with the usage counters.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use socialize::platform::gauges::Difference;
use socialize::platform::secret::Secret;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use uuid::Uuid;

/// Interval between counts.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// If counting is slow, it pauses for this many times its duration.
const REST_FACTOR: u32 = 20;

/// Ids grow with time and are primary keys, so counting costs only as much as there are new rows, however
/// large the database is.
const COUNT: &str = "
    select 'organizations' as source, '' as label, count(*) from organizations where id >= $1
    union all select 'workspaces', '', count(*) from workspaces where id >= $1
    union all select 'workspace_invites', '', count(*) from workspace_invites where id >= $1
    union all select 'content_items', '', count(*) from content_items where id >= $1
    union all select 'published content_items', '', count(*) from content_items
        where id >= $1 and published_at is not null
    union all select 'comments', '', count(*) from comments where id >= $1
    union all select 'approval_decisions', decision, count(*) from approval_decisions where id >= $1 group by decision
    union all select 'feedback_reports', kind, count(*) from feedback_reports where id >= $1 group by kind
    union all select 'sessions', '', count(*) from sessions where id >= $1";

/// Label of published items.
pub(super) const PUBLISHED: &str = "published content_items";

/// Number of facts by source and label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(HashMap<(String, String), u64>);

impl Facts {
    /// Number of rows of a table, with this label if it has labels.
    pub(super) fn count(&self, table: &str, label: &str) -> u64 {
        self.0.get(&(table.to_owned(), label.to_owned())).copied().unwrap_or_default()
    }

    /// Sets a count, for tests.
    #[cfg(test)]
    pub(super) fn with(mut self, table: &str, label: &str, count: u64) -> Self {
        self.0.insert((table.to_owned(), label.to_owned()), count);
        self
    }
}

/// Counts the facts of one run.
pub(super) struct Ledger {
    url: Secret,
    since: Uuid,
    /// Separate from the server's pool, because only the server is measured.
    connection: Option<PgConnection>,
}

impl Ledger {
    /// Counts all facts from now on.
    pub(super) fn open(url: Secret) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The smallest version 7 UUID of this millisecond: it begins with the time.
        let since = Uuid::from_u128((since_epoch.as_millis() & 0xffff_ffff_ffff) << 80);
        Self { url, since, connection: None }
    }

    /// Returns another handle of the same ledger.
    pub(super) fn again(&self) -> Self {
        Self { url: self.url.clone(), since: self.since, connection: None }
    }

    /// Counts the facts.
    ///
    /// # Errors
    /// Returns an error if the database does not respond.
    pub(super) async fn count(&mut self) -> anyhow::Result<Facts> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => PgConnection::connect(self.url.expose()).await.context("the facts cannot be counted")?,
        };
        let rows: Vec<(String, String, i64)> = sqlx::query_as(COUNT)
            .bind(self.since)
            .fetch_all(&mut connection)
            .await
            .context("the facts cannot be counted")?;
        // A failed connection is not reused.
        self.connection = Some(connection);
        let count = |(source, label, count): (String, String, i64)| ((source, label), count.unsigned_abs());
        Ok(Facts(rows.into_iter().map(count).collect()))
    }

    /// Differences between the gauges' counts and their tables.
    ///
    /// # Errors
    /// Returns an error if the database does not respond.
    pub(super) async fn gauge_drift(&mut self) -> anyhow::Result<Vec<Difference>> {
        let mut connection =
            PgConnection::connect(self.url.expose()).await.context("the gauges cannot be compared")?;
        sqlx::query_as("select gauge, status, actual, counted from gauge_drift order by gauge, status")
            .fetch_all(&mut connection)
            .await
            .context("the gauges cannot be compared")
    }

    /// Counts repeatedly. While the database is unreachable, returns the last counts.
    pub(super) async fn watch(mut self, counted: watch::Sender<Facts>) {
        while !counted.is_closed() {
            let started = std::time::Instant::now();
            if let Ok(facts) = self.count().await {
                counted.send_replace(facts);
            }
            tokio::time::sleep((started.elapsed() * REST_FACTOR).max(COUNT_EVERY)).await;
        }
    }
}
