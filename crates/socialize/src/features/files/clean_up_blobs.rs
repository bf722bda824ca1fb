//! Deletes unreferenced blobs: remains of failed uploads, and files of deleted rows.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use chrono::TimeDelta;
use domain::ids::BlobId;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::platform::blobs::BlobError;
use crate::platform::blobs::unreferenced::delete_unreferenced;
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Number of blobs looked up at once.
const BATCH: i64 = 100;

/// Age at which an unreferenced upload counts as abandoned. Longer than the maximum duration of an upload;
/// together with the job's period it is less than an hour.
pub const ABANDONED_AFTER: TimeDelta = TimeDelta::minutes(30);

/// Deletes unreferenced blobs periodically.
#[derive(Default, Serialize, Deserialize)]
pub struct CleanUpBlobs;

impl JobType for CleanUpBlobs {
    type State = App;

    const KIND: JobKind = JobKind::CleanUpBlobs;
    const POLICY: JobPolicy = JobPolicy::alone(Self::KIND, Duration::from_secs(300));

    async fn run(self, app: &App, _: &Job) -> Result<(), JobError> {
        run(app).await
    }
}

/// Deletes all of them. A failure does not stop the others.
///
/// # Errors
/// Returns an error if the database fails, or the store for any of them.
pub async fn run(app: &App) -> Result<(), JobError> {
    let mut failure = None;
    let mut after = None;
    loop {
        let blobs = list(app, after).await?;
        for blob in &blobs {
            // A store that is down is not called for each of them.
            app.blobs.require_up().map_err(|BlobError(error_type)| JobError::Retry(error_type))?;
            if let Err(error) = delete_unreferenced(&app.database, &app.blobs, *blob).await {
                failure = Some(JobError::Retry(error));
            }
        }
        after = blobs.last().copied();
        if (blobs.len() as i64) < BATCH {
            return failure.map_or(Ok(()), Err);
        }
    }
}

/// The next deletable blobs.
async fn list(app: &App, after: Option<BlobId>) -> Result<Vec<BlobId>, JobError> {
    let mut connection = app.database.acquire().await?;
    let blobs = app
        .database
        .run(
            DatabaseOperation::ListUnreferencedBlobs,
            sqlx::query_scalar(
                "select blob_id from unreferenced_blobs
                 where (is_abandoned or created_at <= $1) and ($2::uuid is null or blob_id > $2)
                 order by blob_id limit $3",
            )
            .bind(app.clock.now() - ABANDONED_AFTER)
            .bind(after)
            .bind(BATCH)
            .fetch_all(&mut *connection),
        )
        .await?;
    Ok(blobs)
}
