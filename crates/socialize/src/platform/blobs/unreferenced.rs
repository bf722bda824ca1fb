//! Blobs without a referring row, and their deletion.

use catalogue::database_operation::DatabaseOperation;
use domain::ids::BlobId;
use telemetry::ErrorType;

use super::Blobs;
use super::error::BlobError;
use crate::platform::clock::Clock;
use crate::platform::database::{self, Database, DatabaseError, Transaction};

/// Records a blob that is about to be stored.
pub(crate) async fn note(database: &Database, clock: &Clock, blob: BlobId) -> database::Result<()> {
    let mut connection = database.acquire().await?;
    database
        .run(
            DatabaseOperation::InsertUnreferencedBlob,
            sqlx::query("insert into unreferenced_blobs (blob_id, created_at) values ($1, $2)")
                .bind(blob)
                .bind(clock.now())
                .execute(&mut *connection),
        )
        .await?;
    Ok(())
}

/// Records the store's id of the multipart upload.
pub(crate) async fn note_parts(database: &Database, blob: BlobId, parts_id: &str) -> database::Result<()> {
    let mut connection = database.acquire().await?;
    database
        .run(
            DatabaseOperation::UpdateUnreferencedBlob,
            sqlx::query("update unreferenced_blobs set parts_id = $2 where blob_id = $1")
                .bind(blob)
                .bind(parts_id)
                .execute(&mut *connection),
        )
        .await?;
    Ok(())
}

/// Removes the record, in the transaction that inserts the referring row. Returns `false` if the clean-up has
/// already treated the blob as abandoned.
pub(crate) async fn forget_referenced(
    database: &Database,
    transaction: &mut Transaction,
    blob: BlobId,
) -> database::Result<bool> {
    let deleted = database
        .run(
            DatabaseOperation::DeleteUnreferencedBlob,
            sqlx::query("delete from unreferenced_blobs where blob_id = $1 and not is_abandoned")
                .bind(blob)
                .execute(&mut **transaction),
        )
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Deletes an unreferenced blob and its record. A blob that a transaction has just referred to stays: both
/// lock the same row, so it need not be known whether that transaction committed.
///
/// # Errors
/// Returns an error if the database or the store fails; the rest is deleted the next time.
pub(crate) async fn delete_unreferenced(
    database: &Database,
    blobs: &Blobs,
    blob: BlobId,
) -> Result<(), ErrorType> {
    let failed = |error: DatabaseError| error.error_type;
    let mut connection = database.acquire().await.map_err(failed)?;
    let abandoned: Option<Option<String>> = database
        .run(
            DatabaseOperation::AbandonUnreferencedBlob,
            sqlx::query_scalar(
                "update unreferenced_blobs set is_abandoned = true where blob_id = $1 returning parts_id",
            )
            .bind(blob)
            .fetch_optional(&mut *connection),
        )
        .await
        .map_err(failed)?;
    let Some(parts_id) = abandoned else { return Ok(()) };
    // No database connection is held during a request to the store.
    drop(connection);
    let kept = |BlobError(error_type)| error_type;
    if let Some(parts_id) = parts_id {
        blobs.abort_parts(blob, &parts_id).await.map_err(kept)?;
    }
    blobs.delete(blob).await.map_err(kept)?;
    let mut connection = database.acquire().await.map_err(failed)?;
    database
        .run(
            DatabaseOperation::DeleteUnreferencedBlob,
            sqlx::query("delete from unreferenced_blobs where blob_id = $1")
                .bind(blob)
                .execute(&mut *connection),
        )
        .await
        .map_err(failed)?;
    Ok(())
}
