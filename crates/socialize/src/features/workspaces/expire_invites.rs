//! Marks expired invites. Acceptance checks the clock, so none is accepted in between.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::platform::database::DatabaseError;
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Maximum number of invites per statement, so that locks are held briefly even after a long pause.
const BATCH: i64 = 500;

/// Marks expired invites periodically.
#[derive(Default, Serialize, Deserialize)]
pub struct ExpireInvites;

impl JobType for ExpireInvites {
    type State = App;

    const KIND: JobKind = JobKind::ExpireInvites;
    const POLICY: JobPolicy = JobPolicy::alone(Self::KIND, Duration::from_secs(120));

    async fn run(self, app: &App, _: &Job) -> Result<(), JobError> {
        Ok(run(app).await.map(drop)?)
    }
}

/// Marks every expired invite and returns their number. Invites that are being accepted or revoked are left
/// to the next run.
///
/// # Errors
/// Returns an error if the database fails; invites marked so far stay marked.
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
