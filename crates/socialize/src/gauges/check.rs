//! Comparing what is counted with what there is, and making both equal again.

use std::time::Duration;

use domain::database_operation::DatabaseOperation;
use sqlx::{Connection, FromRow, PgConnection};

use crate::database::{self, Database, DatabaseError};

/// How long reading every row of the tables may take.
pub(crate) const COMPARISON_LIMIT: Duration = Duration::from_secs(600);

/// One repair at a time: two would each add what is missing.
const REPAIR_LOCK: i64 = 0x6761_7567_6566_6978;

/// Where a count and its table differ.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Difference {
    /// The gauge.
    pub gauge: String,
    /// The status.
    pub status: String,
    /// How many rows the table has.
    pub actual: i64,
    /// How many were counted.
    pub counted: i64,
}

/// Compares exactly, by reading every row. The connection must allow a statement to take so long.
///
/// # Errors
/// When the database fails or takes longer than it may.
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

/// Makes the counts equal to the tables, while others write, and answers where they differed.
///
/// # Errors
/// When the database fails or takes longer than it may; then nothing has changed.
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
