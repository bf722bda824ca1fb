//! Uploaded files: kept in a directory or in a bucket of S3, under the ids of the rows that refer to them.
//!
//! A blob is stored before the row that refers to it is committed, and deleted after that row is gone; `unreferenced_blobs`
//! holds what is in between (see `upload` and [`crate::workers::clean_up_blobs`]). A blob never changes. No more of it than
//! one part is in memory, on the way in and on the way out.
//!
//! Nothing that the store says goes further than this: its answers quote keys and signatures.

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
use domain::catalogue;
use domain::events;
use domain::ids::BlobId;
use domain::labels::{BlobOperation, BlobOutcome};
use domain::signals::keys;
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

/// A store that was well so short a time ago is not asked whether it is.
const WELL_FOR: Duration = Duration::from_secs(10);

/// Where blobs are kept, and how many arrive at once.
#[derive(Clone)]
pub struct BlobSettings {
    /// Where.
    pub store: BlobStoreSettings,
    /// How many uploads are received at once; each needs memory for one part. A user may have a quarter of them, an organization half.
    pub uploads_at_once: usize,
    /// How patient we are with the store.
    pub timeouts: BlobTimeouts,
}

/// Where blobs are kept.
#[derive(Clone)]
pub enum BlobStoreSettings {
    /// In a directory, created if it does not exist.
    Directory(PathBuf),
    /// In a bucket.
    S3(S3Settings),
}

/// How a bucket is reached.
#[derive(Clone)]
pub struct S3Settings {
    /// Its name.
    pub bucket: String,
    /// Where it is, which signatures are for.
    pub region: String,
    /// The server, where it is not Amazon's.
    pub endpoint: Option<Url>,
    /// Whether the bucket is named by the path and not by the host.
    pub path_style: bool,
    /// The id of the access key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct BlobTimeouts {
    /// Connecting and agreeing on encryption.
    pub connect: Duration,
    /// Answering anything that carries no content, and each further piece of what is read.
    pub answer: Duration,
    /// Taking what is put, one part of it at most.
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

/// Why the store cannot be set up. The text is for the operator, at start.
#[derive(Debug, thiserror::Error)]
pub enum BlobSetupError {
    /// The directory cannot be used.
    #[error("the directory of uploaded files {path} cannot be used: {error}", path = path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The settings of the bucket cannot be used.
    #[error("the S3 bucket cannot be prepared: {0}")]
    S3(String),
}

/// A failed operation: its closed type. The text of the store's answer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobError(pub ErrorType);

/// The result of an operation on the store.
pub type Result<T> = std::result::Result<T, BlobError>;

impl From<BlobError> for Error {
    #[track_caller]
    fn from(BlobError(error_type): BlobError) -> Self {
        Error::failed(match BlobOutcome::from(error_type) {
            BlobOutcome::Timeout => ErrorType::Timeout,
            // A file is lost or spoilt: trying again will not help.
            BlobOutcome::NotFound | BlobOutcome::Corrupt => ErrorType::InvalidData,
            // Whatever it is, it is between us and the store. The operation's own record says more.
            _ => ErrorType::Unavailable,
        })
    }
}

/// The store and what it reports.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    timeouts: BlobTimeouts,
    operations: Operations<BlobOperation, BlobOutcome>,
    uploads: Slots,
    /// Whether the last health check failed; then requests fail at once.
    is_down: Box<dyn Fn() -> bool + Send + Sync>,
    /// Until when nobody needs to ask how the store is.
    well_until: Mutex<Option<Instant>>,
}

impl Blobs {
    /// Prepares the store; connects nowhere yet. `is_down` answers from a cached health check.
    ///
    /// # Errors
    /// If the directory cannot be created or the settings of the bucket cannot be used.
    pub fn new(
        settings: BlobSettings,
        telemetry: &Telemetry,
        is_down: impl Fn() -> bool + Send + Sync + 'static,
    ) -> std::result::Result<Self, BlobSetupError> {
        let family = FamilyDescription {
            event: events::BLOB_OPERATION,
            span_kind: SpanKind::Client,
            attributes: Vec::new(),
        };
        let inner = Inner {
            store: Store::new(settings.store, settings.timeouts)?,
            timeouts: settings.timeouts,
            operations: Operations::timed(telemetry, family, &catalogue::BLOB_OPERATION_DURATION),
            uploads: Slots::new(settings.uploads_at_once),
            is_down: Box::new(is_down),
            well_until: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Fails at once where the store is known to be down.
    ///
    /// # Errors
    /// If it is.
    pub fn require_up(&self) -> Result<()> {
        if (self.inner.is_down)() { Err(BlobError(ErrorType::Unavailable)) } else { Ok(()) }
    }

    /// Stores a small blob whole.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put(&self, blob: BlobId, content: Bytes) -> Result<()> {
        let putting = self.inner.store.put(blob, content);
        self.observe(BlobOperation::Put, blob, self.inner.timeouts.put, putting).await
    }

    /// Begins to store a blob in parts.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn begin_parts(&self, blob: BlobId) -> Result<PartialBlob> {
        let beginning = self.inner.store.begin_parts(blob);
        self.observe(BlobOperation::BeginParts, blob, self.inner.timeouts.answer, beginning).await
    }

    /// Stores the next part. All but the last have [`Blobs::part_size`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put_part(&self, partial: &mut PartialBlob, content: Bytes) -> Result<()> {
        let (blob, putting) = (partial.blob, self.inner.store.put_part(partial, content));
        self.observe(BlobOperation::PutPart, blob, self.inner.timeouts.put, putting).await
    }

    /// Makes the blob of its parts.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn complete_parts(&self, partial: PartialBlob) -> Result<()> {
        let (blob, completing) = (partial.blob, self.inner.store.complete_parts(partial));
        self.observe(BlobOperation::CompleteParts, blob, self.inner.timeouts.put, completing).await
    }

    /// Gives the parts up.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn abort_parts(&self, blob: BlobId, parts_id: &str) -> Result<()> {
        let aborting = self.inner.store.abort_parts(blob, parts_id);
        self.observe(BlobOperation::AbortParts, blob, self.inner.timeouts.answer, aborting).await
    }

    /// Finds a blob that must have this size, or a range of it.
    ///
    /// # Errors
    /// If there is none, it has another size, or the store fails.
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

    /// Deletes a blob and whatever an upload of it that was not finished has left behind. One that does not exist is
    /// deleted already.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, blob: BlobId) -> Result<()> {
        let deleting = self.inner.store.delete(blob);
        self.observe(BlobOperation::Delete, blob, self.inner.timeouts.answer, deleting).await
    }

    /// The size of all parts but the last.
    pub fn part_size(&self) -> usize {
        self.inner.store.part_size()
    }

    /// Whether blobs can be stored and read now, for the health check. A store that did something well a moment ago is not
    /// asked.
    ///
    /// # Errors
    /// Says what kind of trouble there is.
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

    /// Remembers how the store is. What is wrong with one blob says nothing about it.
    fn note(&self, error: Option<ErrorType>) {
        let mut well_until = self.inner.well_until.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => *well_until = Some(Instant::now() + WELL_FOR),
            Some(ErrorType::NotFound | ErrorType::InvalidData) => {}
            Some(_) => *well_until = None,
        }
    }
}
