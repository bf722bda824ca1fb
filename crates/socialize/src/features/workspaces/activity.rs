//! Last activity of workspaces.

use catalogue::database_operation::DatabaseOperation;
use chrono::TimeDelta;
use domain::ids::WorkspaceId;

use crate::app::App;
use crate::platform::database::{self, Transaction};

/// Resolution of `last_active_at`: a workspace that was touched more recently is skipped.
const TOUCH_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// Records that a member changed something in the workspace. Every mutating action of a member calls it in
/// its transaction.
///
/// A busy workspace costs one row version in five minutes. The statement skips locked rows: the lock's holder
/// touches the row as well, and transactions that meet here cannot deadlock.
pub async fn touch_workspace(
    app: &App,
    transaction: &mut Transaction,
    workspace_id: WorkspaceId,
) -> database::Result<()> {
    let now = app.clock.now();
    app.database
        .run(
            DatabaseOperation::TouchWorkspace,
            sqlx::query(
                "update workspaces set last_active_at = $2 where id = (
                     select id from workspaces where id = $1 and last_active_at <= $3 for no key update skip locked
                 )",
            )
            .bind(workspace_id)
            .bind(now)
            .bind(now - TOUCH_INTERVAL)
            .execute(&mut **transaction),
        )
        .await?;
    Ok(())
}
