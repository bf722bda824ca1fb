//! Check of the store of uploaded files: an object is written, read back and deleted.

use axum::body::to_bytes;
use bytes::Bytes;
use domain::ids::BlobId;
use telemetry::{ClosedSet, ErrorType, Telemetry, TelemetrySettings};
use uuid::Uuid;

use crate::platform::blobs::{BlobError, BlobSettings, BlobStoreSettings, Blobs};
use crate::platform::finding::Finding;

const BLOBS: &str = "blobs";
const CONTENT: &[u8] = b"written by socialize doctor";

/// Checks the store. Nothing is left behind, unless objects can be written but not deleted.
pub(super) async fn check(settings: &BlobSettings) -> Finding {
    let telemetry = Telemetry::new(TelemetrySettings::default());
    let blobs = match Blobs::new(settings.clone(), &telemetry, || false) {
        Ok(blobs) => blobs,
        Err(error) => {
            return Finding::failed(
                BLOBS,
                error.to_string(),
                "correct the setting, or the rights of the directory",
            );
        }
    };
    let (store, is_bucket) = match &settings.store {
        BlobStoreSettings::Directory(path) => (format!("the directory {}", path.display()), false),
        BlobStoreSettings::S3(s3) => (format!("the bucket {}", s3.bucket), true),
    };
    match write_read_delete(&blobs).await {
        Ok(()) => Finding::ok(BLOBS, format!("{store} can be written, read and deleted from")),
        Err((what, error_type)) => {
            let detail = format!("{store} cannot be {what}: {}", error_type.as_str());
            Finding::failed(BLOBS, detail, remedy(error_type, is_bucket))
        }
    }
}

async fn write_read_delete(blobs: &Blobs) -> Result<(), (&'static str, ErrorType)> {
    let blob = BlobId::from(Uuid::now_v7());
    let because = |what| move |BlobError(error_type): BlobError| (what, error_type);
    blobs.put(blob, Bytes::from_static(CONTENT)).await.map_err(because("written to"))?;
    let read = read_back(blobs, blob).await;
    let deleted = blobs.delete(blob).await;
    read.map_err(because("read"))?;
    deleted.map_err(because("deleted from"))
}

async fn read_back(blobs: &Blobs, blob: BlobId) -> Result<(), BlobError> {
    let found = blobs.get(blob, CONTENT.len() as u64, None).await?;
    let content = to_bytes(found.into_body(None), CONTENT.len()).await;
    let is_same = content.is_ok_and(|content| content == CONTENT);
    if is_same { Ok(()) } else { Err(BlobError(ErrorType::InvalidData)) }
}

fn remedy(error_type: ErrorType, is_bucket: bool) -> &'static str {
    match (error_type, is_bucket) {
        (_, false) => "let Socialize write into SOCIALIZE_BLOBS_DIRECTORY, and see whether its disk is full",
        (ErrorType::AuthenticationFailed | ErrorType::PermissionDenied, true) => {
            "correct SOCIALIZE_S3_ACCESS_KEY_ID and SOCIALIZE_S3_SECRET_ACCESS_KEY, or what the key may do with the \
             bucket"
        }
        (ErrorType::NotFound | ErrorType::Rejected, true) => {
            "make the bucket, or correct SOCIALIZE_S3_BUCKET and SOCIALIZE_S3_PATH_STYLE"
        }
        (_, true) => "correct SOCIALIZE_S3_ENDPOINT and SOCIALIZE_S3_REGION, or see how the store is",
    }
}
