//! Folding of transitions into totals, which keeps samples cheap.

use catalogue::database_operation::DatabaseOperation;
use sqlx::PgConnection;

use crate::platform::database::{self, Database};

/// Maximum number of transitions that one statement folds, so that it is short even after a long
/// pause.
const AT_ONCE: i64 = 100_000;

/// Moves transitions into the totals, at most as many as one statement may, and returns their
/// number. The sums stay the same, so readers see no difference at any time.
///
/// # Errors
/// Returns an error if the database fails; then nothing has changed.
pub async fn fold(database: &Database, connection: &mut PgConnection) -> database::Result<i64> {
    database
        .run(
            DatabaseOperation::FoldGauges,
            sqlx::query_scalar(
                "with folded as (
                     delete from gauge_transitions
                     where ctid = any (array(select ctid from gauge_transitions limit $1))
                     returning gauge, from_status, to_status, count
                 ), changes as (
                     select gauge, status, sum(count) as count
                     from (
                         select gauge, from_status as status, -count as count from folded
                         union all
                         select gauge, to_status, count from folded
                     ) as parts
                     where status is not null
                     group by gauge, status
                     order by gauge, status
                 ), added as (
                     insert into gauge_totals as total (gauge, status, count)
                     select gauge, status, count from changes where count <> 0
                     on conflict (gauge, status) do update set count = total.count + excluded.count
                 )
                 select count(*) from folded",
            )
            .bind(AT_ONCE)
            .fetch_one(connection),
        )
        .await
}
