//! Ends invites whose time is over. Nobody can accept them meanwhile, for that is decided by the clock.

use domain::database_operation::DatabaseOperation;

use crate::app::App;
use crate::database::DatabaseError;

/// How many invites one statement ends: locks are held briefly, however long the job did not run.
const BATCH: i64 = 500;

/// Marks every invite as expired whose time is over now, and returns how many there were. Invites that somebody is accepting
/// or revoking at this moment are left to the next run.
///
/// # Errors
/// If the database fails; what was ended so far stays so.
pub async fn run(app: &App) -> Result<u64, DatabaseError> {
    let now = app.clock.now();
    let mut expired = 0;
    loop {
        let mut connection = app.database.acquire().await?;
        let batch = app
            .database
            .run(
                DatabaseOperation::ExpireWorkspaceInvites,
                sqlx::query(
                    "with due as materialized (
                         select id from workspace_invites where status = 'pending' and expires_at <= $1
                         order by expires_at limit $2 for no key update skip locked
                     )
                     update workspace_invites i set status = 'expired', closed_at = $1 from due where i.id = due.id",
                )
                .bind(now)
                .bind(BATCH)
                .execute(&mut *connection),
            )
            .await?
            .rows_affected();
        expired += batch;
        if batch < BATCH as u64 {
            return Ok(expired);
        }
    }
}
