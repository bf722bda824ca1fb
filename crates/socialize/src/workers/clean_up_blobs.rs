//! Deletes blobs that no row refers to: what uploads have left behind that came to nothing, and what belonged to a row that
//! was deleted.

use chrono::TimeDelta;
use domain::database_operation::DatabaseOperation;
use domain::ids::BlobId;

use crate::app::App;
use crate::blobs::{BlobError, delete_unreferenced};
use crate::queue::JobError;

/// How many blobs are looked up at once.
const BATCH: i64 = 100;

/// When an upload is taken for abandoned. No upload may take that long, and together with the time between two runs it is
/// less than an hour.
pub const ABANDONED_AFTER: TimeDelta = TimeDelta::minutes(30);

/// Deletes all of them. One that cannot be deleted keeps none of the others.
///
/// # Errors
/// If the database fails, or the store with any of them.
pub async fn run(app: &App) -> Result<(), JobError> {
    let mut failure = None;
    let mut after = None;
    loop {
        let blobs = list(app, after).await?;
        for blob in &blobs {
            // A store that is down is not asked about each of them.
            app.blobs.require_up().map_err(|BlobError(error_type)| JobError::Retry(error_type))?;
            if let Err(error) = delete_unreferenced(app, *blob).await {
                failure = Some(error);
            }
        }
        after = blobs.last().copied();
        if (blobs.len() as i64) < BATCH {
            return failure.map_or(Ok(()), Err);
        }
    }
}

/// The next of those that may go.
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
