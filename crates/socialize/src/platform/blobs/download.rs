//! Reads a blob to its end and verifies its content.

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use catalogue::keys;
use catalogue::labels::{BlobOperation, BlobOutcome};
use domain::ids::BlobId;
use futures_util::{FutureExt, StreamExt, stream};
use object_store::GetResult;
use sha2::{Digest, Sha256};
use telemetry::ErrorType;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Blobs;
use super::error::{BlobError, Result};

/// Number of pieces buffered for a client that is slower than the store.
const PIECES_AHEAD: usize = 2;
/// Maximum time that a client may leave a piece unread.
const CLIENT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A blob, or a range of it, before reading.
pub struct FoundBlob {
    blobs: Blobs,
    blob: BlobId,
    length: u64,
    content: GetResult,
}

impl Blobs {
    /// Opens a blob of this size, or a range of it.
    ///
    /// # Errors
    /// Returns an error if it does not exist, it has another size, or the store fails.
    pub async fn get(&self, blob: BlobId, size: u64, range: Option<Range<u64>>) -> Result<FoundBlob> {
        self.require_up()?;
        let length = range.as_ref().map_or(size, |range| range.end - range.start);
        let finding = self
            .inner
            .store
            .get(blob, size, range)
            .map(|found| found.map(|content| FoundBlob { blobs: self.clone(), blob, length, content }));
        self.observe(BlobOperation::Get, blob, self.inner.timeouts.response, finding).await
    }
}

impl FoundBlob {
    /// Returns the content as a body. If the content differs from the stored one, the body is aborted before
    /// its end, so that no client considers it complete. A `checksum` can be verified only if the whole blob
    /// is read.
    pub fn into_body(self, checksum: Option<[u8; 32]>) -> Body {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let request = telemetry::current::context();
        // Spawned as a task, because a body is read after its request has been recorded.
        tokio::spawn(async move {
            let (blobs, blob) = (self.blobs.clone(), self.blob);
            let describe = |attributes: &mut telemetry::Attributes| attributes.id(&keys::BLOB_ID, blob);
            let reading = async {
                match self.read(checksum, &sender).await {
                    Ok(()) => ((), BlobOutcome::Ok, None),
                    Err(BlobError(error_type)) => {
                        let broken_off = std::io::Error::other("the file could not be read to its end");
                        let _ = timeout(CLIENT_PATIENCE, sender.send(Err(broken_off))).await;
                        ((), error_type.into(), Some(error_type))
                    }
                }
            };
            blobs.inner.operations.run(BlobOperation::Read, request, describe, reading).await;
        });
        let pieces = stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((piece, receiver))
        });
        Body::from_stream(pieces)
    }

    async fn read(
        self,
        checksum: Option<[u8; 32]>,
        sender: &mpsc::Sender<std::io::Result<Bytes>>,
    ) -> Result<()> {
        let limit = self.blobs.inner.timeouts.response;
        let mut pieces = self.content.into_stream();
        let mut hash = Sha256::new();
        let mut missing = self.length;
        loop {
            let piece = match timeout(limit, pieces.next()).await {
                Ok(Some(piece)) => piece?,
                Ok(None) => return Err(BlobError(ErrorType::InvalidData)),
                Err(_elapsed) => return Err(BlobError(ErrorType::Timeout)),
            };
            hash.update(&piece);
            let length = piece.len() as u64;
            missing = missing.checked_sub(length).ok_or(BlobError(ErrorType::InvalidData))?;
            // The last chunk is sent only if all earlier ones were correct.
            let is_wrong =
                missing == 0 && checksum.is_some_and(|checksum| hash.clone().finalize()[..] != checksum);
            if is_wrong {
                return Err(BlobError(ErrorType::InvalidData));
            }
            match timeout(CLIENT_PATIENCE, sender.send(Ok(piece))).await {
                Ok(Ok(())) if missing == 0 => return Ok(()),
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(BlobError(ErrorType::Cancelled)),
            }
        }
    }
}
