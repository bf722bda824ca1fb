//! Store of uploaded files: a directory or an S3 bucket, with the ids of the referring rows as names.
//!
//! A blob is stored before the referring row is committed, and deleted after that row is gone;
//! `unreferenced_blobs` lists those in between (see `upload` and [`crate::workers::clean_up_blobs`]). Blobs
//! are immutable. Uploads and downloads hold at most one part in memory.
//!
//! The store's messages stay in this module: they quote keys and signatures.

mod download;
mod iso_media;
mod media_type;
mod slots;
mod store;
mod trouble;
mod unreferenced;
mod upload;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use catalogue::events;
use catalogue::keys;
use catalogue::labels::{BlobOperation, BlobOutcome};
use catalogue::metrics;
use domain::ids::BlobId;
use futures_util::FutureExt;
use telemetry::record::SpanKind;
use telemetry::{ErrorType, FamilyDescription, Operations, Telemetry};
use tokio::time::{Instant, timeout};
use url::Url;

pub use download::FoundBlob;
pub use slots::Uploader;
pub use unreferenced::delete_unreferenced;
pub use upload::{StoredBlob, UploadRules, store_upload};

use self::slots::Slots;
pub use self::store::PartialBlob;
use self::store::Store;
use crate::error::Error;
use crate::secret::Secret;

/// If an operation succeeded this recently, the health check skips its request.
const WELL_FOR: Duration = Duration::from_secs(10);

/// Location of blobs, and limits of uploads.
#[derive(Clone)]
pub struct BlobSettings {
    pub store: BlobStoreSettings,
    /// Maximum number of concurrent uploads; each needs memory for one part. A user may have a quarter of
    /// them, an organization half.
    pub uploads_at_once: usize,
    pub timeouts: BlobTimeouts,
}

#[derive(Clone)]
pub enum BlobStoreSettings {
    /// A directory, created if it does not exist.
    Directory(PathBuf),
    S3(S3Settings),
}

/// Connection settings of a bucket.
#[derive(Clone)]
pub struct S3Settings {
    pub bucket: String,
    /// Region, which is part of the signature.
    pub region: String,
    /// URL of the server, if it is not Amazon's.
    pub endpoint: Option<Url>,
    /// True if the bucket is in the path instead of the host name.
    pub path_style: bool,
    pub access_key_id: String,
    pub secret_access_key: Secret,
}

/// Maximum duration of each stage of an operation.
#[derive(Clone, Copy, Debug)]
pub struct BlobTimeouts {
    /// TCP connection and TLS handshake.
    pub connect: Duration,
    /// A response without content, and each further piece of a download.
    pub answer: Duration,
    /// Upload of one part.
    pub put: Duration,
}

impl Default for BlobTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            put: Duration::from_secs(30),
        }
    }
}

/// Reasons why the store cannot be set up, for the operator at startup.
#[derive(Debug, thiserror::Error)]
pub enum BlobSetupError {
    #[error("the directory of uploaded files {path} cannot be used: {error}", path = path.display())]
    Directory { path: PathBuf, error: String },
    /// The settings of the bucket are unusable.
    #[error("the S3 bucket cannot be prepared: {0}")]
    S3(String),
}

/// A failed operation. The store's message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobError(pub ErrorType);

pub type Result<T> = std::result::Result<T, BlobError>;

impl From<BlobError> for Error {
    #[track_caller]
    fn from(BlobError(error_type): BlobError) -> Self {
        Error::failed(match error_type {
            ErrorType::Timeout => ErrorType::Timeout,
            // The file is lost or corrupt: a retry does not help.
            ErrorType::NotFound | ErrorType::InvalidData => ErrorType::InvalidData,
            // A network or store failure; the operation's own record has the details.
            _ => ErrorType::Unavailable,
        })
    }
}

#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    timeouts: BlobTimeouts,
    operations: Operations<BlobOperation, BlobOutcome>,
    uploads: Slots,
    /// True if the last health check failed; if so, requests fail at once.
    is_down: Box<dyn Fn() -> bool + Send + Sync>,
    /// Until then the health check skips its request.
    well_until: Mutex<Option<Instant>>,
}

impl Blobs {
    /// Prepares the store without connecting. `is_down` reads the cached health check.
    ///
    /// # Errors
    /// If the directory cannot be created or the settings of the bucket are unusable.
    pub fn new(
        settings: BlobSettings,
        telemetry: &Telemetry,
        is_down: impl Fn() -> bool + Send + Sync + 'static,
    ) -> std::result::Result<Self, BlobSetupError> {
        let family = FamilyDescription {
            event: events::BLOB_OPERATION,
            span_kind: SpanKind::Client,
            scope: catalogue::scopes::BLOBS,
            attributes: Vec::new(),
        };
        let inner = Inner {
            store: Store::new(settings.store, settings.timeouts)?,
            timeouts: settings.timeouts,
            operations: Operations::timed(telemetry, family, &metrics::BLOB_OPERATION_DURATION),
            uploads: Slots::new(settings.uploads_at_once),
            is_down: Box::new(is_down),
            well_until: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Fails at once while the store is known to be down.
    pub fn require_up(&self) -> Result<()> {
        if (self.inner.is_down)() { Err(BlobError(ErrorType::Unavailable)) } else { Ok(()) }
    }

    /// Stores a small blob in one request.
    pub async fn put(&self, blob: BlobId, content: Bytes) -> Result<()> {
        let putting = self.inner.store.put(blob, content);
        self.observe(BlobOperation::Put, blob, self.inner.timeouts.put, putting).await
    }

    /// Starts to store a blob in parts.
    pub async fn begin_parts(&self, blob: BlobId) -> Result<PartialBlob> {
        let beginning = self.inner.store.begin_parts(blob);
        self.observe(BlobOperation::BeginParts, blob, self.inner.timeouts.answer, beginning).await
    }

    /// Stores the next part. All but the last have [`Blobs::part_size`].
    pub async fn put_part(&self, partial: &mut PartialBlob, content: Bytes) -> Result<()> {
        let (blob, putting) = (partial.blob, self.inner.store.put_part(partial, content));
        self.observe(BlobOperation::PutPart, blob, self.inner.timeouts.put, putting).await
    }

    /// Completes the blob from its parts.
    pub async fn complete_parts(&self, partial: PartialBlob) -> Result<()> {
        let (blob, completing) = (partial.blob, self.inner.store.complete_parts(partial));
        self.observe(BlobOperation::CompleteParts, blob, self.inner.timeouts.put, completing).await
    }

    /// Discards the parts.
    pub async fn abort_parts(&self, blob: BlobId, parts_id: &str) -> Result<()> {
        let aborting = self.inner.store.abort_parts(blob, parts_id);
        self.observe(BlobOperation::AbortParts, blob, self.inner.timeouts.answer, aborting).await
    }

    /// Opens a blob of this size, or a range of it.
    ///
    /// # Errors
    /// If it does not exist, it has another size, or the store fails.
    pub async fn get(&self, blob: BlobId, size: u64, range: Option<Range<u64>>) -> Result<FoundBlob> {
        self.require_up()?;
        let length = range.as_ref().map_or(size, |range| range.end - range.start);
        let finding = self
            .inner
            .store
            .get(blob, size, range)
            .map(|found| found.map(|content| FoundBlob { blobs: self.clone(), blob, length, content }));
        self.observe(BlobOperation::Get, blob, self.inner.timeouts.answer, finding).await
    }

    /// Deletes a blob and the remains of an unfinished upload of it. Idempotent.
    pub async fn delete(&self, blob: BlobId) -> Result<()> {
        let deleting = self.inner.store.delete(blob);
        self.observe(BlobOperation::Delete, blob, self.inner.timeouts.answer, deleting).await
    }

    /// Size of all parts but the last.
    pub fn part_size(&self) -> usize {
        self.inner.store.part_size()
    }

    /// Health check: returns whether blobs can be stored and read now. Sends no request if an operation has
    /// just succeeded.
    ///
    /// # Errors
    /// The kind of failure.
    pub async fn check(&self) -> std::result::Result<(), ErrorType> {
        let well_until = *self.inner.well_until.lock().unwrap_or_else(PoisonError::into_inner);
        if well_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let checked = self.inner.store.check().await;
        self.note(checked.as_ref().err().map(|BlobError(error_type)| *error_type));
        checked.map_err(|BlobError(error_type)| error_type)
    }

    async fn observe<T>(
        &self,
        operation: BlobOperation,
        blob: BlobId,
        limit: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let work = timeout(limit, work).map(|ended| {
            let result = ended.unwrap_or(Err(BlobError(ErrorType::Timeout)));
            match result {
                Ok(value) => (Ok(value), BlobOutcome::Ok, None),
                Err(BlobError(error_type)) => {
                    (Err(BlobError(error_type)), error_type.into(), Some(error_type))
                }
            }
        });
        let describe = |attributes: &mut telemetry::Attributes| attributes.id(&keys::BLOB_ID, blob);
        let result = self.inner.operations.observe_with(operation, describe, work).await;
        self.note(result.as_ref().err().map(|BlobError(error_type)| *error_type));
        result
    }

    /// Remembers the health of the store. Errors of a single blob do not count.
    fn note(&self, error: Option<ErrorType>) {
        let mut well_until = self.inner.well_until.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => *well_until = Some(Instant::now() + WELL_FOR),
            Some(ErrorType::NotFound | ErrorType::InvalidData) => {}
            Some(_) => *well_until = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use telemetry::ClosedSet;

    use super::*;

    #[test]
    fn the_status_of_a_failure_of_the_store_follows_from_the_failure() {
        for error_type in ErrorType::ALL {
            let expected = match error_type.as_str() {
                // The file is gone or changed.
                "not_found" | "invalid_data" => 500,
                _ => 503,
            };
            let response = Error::from(BlobError(*error_type)).into_response();
            assert_eq!(response.status(), expected, "{error_type:?}");
        }
    }
}
