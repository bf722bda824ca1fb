//! Comparison of the counts behind the gauges with the tables, and their repair.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use sqlx::{Connection, FromRow, PgConnection};

use crate::platform::database::{self, Database, DatabaseError};

/// Maximum duration of a statement that reads every row of a table.
pub(crate) const COMPARISON_LIMIT: Duration = Duration::from_secs(600);

/// Lock for one repair at a time: two would each add the missing rows.
const REPAIR_LOCK: i64 = 0x6761_7567_6566_6978;

/// A difference between a count and its table.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Difference {
    /// Name of the gauge.
    pub gauge: String,
    /// Name of the status.
    pub status: String,
    /// Number of rows in the table.
    pub actual: i64,
    /// Number of rows according to the counts.
    pub counted: i64,
}

/// Compares exactly, by reading every row. The connection must allow a statement to run for
/// `COMPARISON_LIMIT`.
///
/// # Errors
/// Returns an error if the database fails or exceeds the limit.
pub async fn compare(
    database: &Database,
    connection: &mut PgConnection,
) -> database::Result<Vec<Difference>> {
    database
        .run_for(
            COMPARISON_LIMIT,
            DatabaseOperation::CompareGauges,
            sqlx::query_as("select gauge, status, actual, counted from gauge_drift order by gauge, status")
                .fetch_all(connection),
        )
        .await
}

/// Makes the counts equal to the tables, even while others write, and returns the differences that
/// were found.
///
/// # Errors
/// Returns an error if the database fails or exceeds the limit; then nothing has changed.
pub async fn repair(database: &Database, connection: &mut PgConnection) -> database::Result<Vec<Difference>> {
    let mut transaction = connection.begin().await.map_err(DatabaseError::from)?;
    let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(REPAIR_LOCK).execute(&mut *transaction);
    database.run_for(COMPARISON_LIMIT, DatabaseOperation::RepairGauges, lock).await?;
    let differences = database
        .run_for(
            COMPARISON_LIMIT,
            DatabaseOperation::RepairGauges,
            sqlx::query_as(
                "with drift as materialized (
                     select gauge, status, actual, counted from gauge_drift
                 ), repaired as (
                     insert into gauge_transitions (gauge, from_status, to_status, count)
                     select gauge, null, status, actual - counted from drift
                 )
                 select gauge, status, actual, counted from drift order by gauge, status",
            )
            .fetch_all(&mut *transaction),
        )
        .await?;
    transaction.commit().await.map_err(DatabaseError::from)?;
    Ok(differences)
}
