//! Blobs without a referring row, and their deletion.

use catalogue::database_operation::DatabaseOperation;
use domain::ids::BlobId;

use crate::app::App;
use crate::database::{self, Transaction};
use crate::error::Error;
use crate::queue::JobError;

/// Records a blob that is about to be stored.
pub(super) async fn note(app: &App, blob: BlobId) -> database::Result<()> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::InsertUnreferencedBlob,
            sqlx::query("insert into unreferenced_blobs (blob_id, created_at) values ($1, $2)")
                .bind(blob)
                .bind(app.clock.now())
                .execute(&mut *connection),
        )
        .await?;
    Ok(())
}

/// Records the store's id of the multipart upload.
pub(super) async fn note_parts(app: &App, blob: BlobId, parts_id: &str) -> database::Result<()> {
    let mut connection = app.database.acquire().await?;
    app.database
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

/// Removes the record, in the transaction that inserts the referring row.
///
/// # Errors
/// If the clean-up has already treated the blob as abandoned, or the database fails.
pub(super) async fn forget_referenced(
    app: &App,
    transaction: &mut Transaction,
    blob: BlobId,
) -> Result<(), Error> {
    let deleted = app
        .database
        .run(
            DatabaseOperation::DeleteUnreferencedBlob,
            sqlx::query("delete from unreferenced_blobs where blob_id = $1 and not is_abandoned")
                .bind(blob)
                .execute(&mut **transaction),
        )
        .await?;
    if deleted.rows_affected() == 1 { Ok(()) } else { Err(Error::failed(telemetry::ErrorType::Timeout)) }
}

/// Deletes an unreferenced blob and its record. A blob that a transaction has just referred to stays: both
/// lock the same row, so it need not be known whether that transaction committed.
///
/// # Errors
/// If the database or the store fails; the rest is deleted the next time.
pub async fn delete_unreferenced(app: &App, blob: BlobId) -> Result<(), JobError> {
    let mut connection = app.database.acquire().await?;
    let abandoned: Option<Option<String>> = app
        .database
        .run(
            DatabaseOperation::AbandonUnreferencedBlob,
            sqlx::query_scalar(
                "update unreferenced_blobs set is_abandoned = true where blob_id = $1 returning parts_id",
            )
            .bind(blob)
            .fetch_optional(&mut *connection),
        )
        .await?;
    let Some(parts_id) = abandoned else { return Ok(()) };
    // No database connection is held during a request to the store.
    drop(connection);
    let retry = |super::BlobError(error_type)| JobError::Retry(error_type);
    if let Some(parts_id) = parts_id {
        app.blobs.abort_parts(blob, &parts_id).await.map_err(retry)?;
    }
    app.blobs.delete(blob).await.map_err(retry)?;
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::DeleteUnreferencedBlob,
            sqlx::query("delete from unreferenced_blobs where blob_id = $1")
                .bind(blob)
                .execute(&mut *connection),
        )
        .await?;
    Ok(())
}
