//! Store of uploaded files: a directory or an S3 bucket, with the ids of the referring rows as names.
//!
//! A blob is stored before the referring row is committed, and deleted after that row is gone;
//! `unreferenced_blobs` lists those in between (see `unreferenced.rs`). Blobs are immutable. Uploads and
//! downloads hold at most one part in memory.
//!
//! The store's messages stay in this module: they quote keys and signatures.

mod download;
mod error;
mod iso_media;
mod media_type;
mod settings;
mod slots;
mod store;
mod trouble;
pub(crate) mod unreferenced;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use catalogue::labels::{BlobOperation, BlobOutcome};
use catalogue::{events, keys, metrics};
use domain::ids::BlobId;
use futures_util::FutureExt;
use telemetry::record::SpanKind;
use telemetry::{ErrorType, FamilyDescription, Operations, Telemetry};
use tokio::time::{Instant, timeout};

pub use download::FoundBlob;
pub use error::{BlobError, Result};
pub(crate) use media_type::recognise;
pub use settings::{BlobSettings, BlobSetupError, BlobStoreSettings, BlobTimeouts, S3Settings};
pub(crate) use slots::NoSlot;
pub use slots::Uploader;

use self::slots::{Slot, Slots};
pub use self::store::PartialBlob;
use self::store::Store;

/// If an operation succeeded this recently, the health check skips its request.
const WELL_FOR: Duration = Duration::from_secs(10);

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
    /// Returns an error if the directory cannot be created or the settings of the bucket are unusable.
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

    /// Waits for the right to upload.
    ///
    /// # Errors
    /// Returns an error if there is none by the deadline.
    pub(crate) async fn slot(
        &self,
        uploader: Uploader,
        deadline: Instant,
    ) -> std::result::Result<Slot<'_>, NoSlot> {
        self.inner.uploads.take(uploader, deadline).await
    }

    /// Stores a small blob in one request.
    pub async fn put(&self, blob: BlobId, content: Bytes) -> Result<()> {
        let putting = self.inner.store.put(blob, content);
        self.observe(BlobOperation::Put, blob, self.inner.timeouts.put, putting).await
    }

    /// Starts to store a blob in parts.
    pub async fn begin_parts(&self, blob: BlobId) -> Result<PartialBlob> {
        let beginning = self.inner.store.begin_parts(blob);
        self.observe(BlobOperation::BeginParts, blob, self.inner.timeouts.response, beginning).await
    }

    /// Stores the next part. All but the last have [`Blobs::part_size`].
    pub async fn put_part(&self, partial: &mut PartialBlob, content: Bytes) -> Result<()> {
        let (blob, putting) = (partial.blob, self.inner.store.put_part(partial, content));
        self.observe(BlobOperation::PutPart, blob, self.inner.timeouts.put, putting).await
    }

    pub async fn complete_parts(&self, partial: PartialBlob) -> Result<()> {
        let (blob, completing) = (partial.blob, self.inner.store.complete_parts(partial));
        self.observe(BlobOperation::CompleteParts, blob, self.inner.timeouts.put, completing).await
    }

    /// Discards the parts.
    pub async fn abort_parts(&self, blob: BlobId, parts_id: &str) -> Result<()> {
        let aborting = self.inner.store.abort_parts(blob, parts_id);
        self.observe(BlobOperation::AbortParts, blob, self.inner.timeouts.response, aborting).await
    }

    /// Deletes a blob and the remains of an unfinished upload of it. Idempotent.
    pub async fn delete(&self, blob: BlobId) -> Result<()> {
        let deleting = self.inner.store.delete(blob);
        self.observe(BlobOperation::Delete, blob, self.inner.timeouts.response, deleting).await
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
