//! Receives a file and stores it as it arrives.
//!
//! Size, type and checksum are checked on the way, with at most one part in memory. A rejected upload leaves
//! nothing behind. A failed or abandoned one is left to the clean-up, because the store may still be
//! processing its requests.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use catalogue::labels::ErrorCode;
use domain::ids::BlobId;
use domain::vocabulary::MediaType;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use sha2::{Digest, Sha256};
use telemetry::{ClosedSet, ErrorType};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::app::App;
use crate::http::error::Error;
use crate::http::extract::Upload;
use crate::platform::blobs::{NoSlot, PartialBlob, Uploader, recognise, unreferenced};
use crate::platform::database::Transaction;

/// Minimum average rate in bytes per second, after a grace period of the body timeout. An upload occupies a
/// slot.
const SLOWEST_PACE: u64 = 8 << 10;

/// Restrictions on an upload.
#[derive(Clone, Copy)]
pub struct UploadRules {
    /// Maximum size in bytes.
    pub max_bytes: u64,
    pub media_types: &'static [MediaType],
}

/// A stored file without a referring row.
pub struct StoredBlob {
    pub id: BlobId,
    pub media_type: MediaType,
    pub size: i64,
    pub checksum: [u8; 32],
}

impl StoredBlob {
    /// Removes the blob from the unreferenced ones, in the transaction of the referring row.
    ///
    /// # Errors
    /// Returns an error if the clean-up has already treated the file as abandoned, or the database fails.
    pub async fn reference(&self, app: &App, transaction: &mut Transaction) -> Result<(), Error> {
        let was_unreferenced = unreferenced::forget_referenced(&app.database, transaction, self.id).await?;
        if was_unreferenced { Ok(()) } else { Err(Error::failed(ErrorType::Timeout)) }
    }

    /// Deletes the blob unless a row refers to it. If that fails, the clean-up deletes it later.
    pub async fn discard(self, app: &App) {
        // The failure has a record of its own.
        let _ = unreferenced::delete_unreferenced(&app.database, &app.blobs, self.id).await;
    }
}

/// Receives a file and stores it.
///
/// # Errors
/// Returns an error if it is too large, of another type or late, or the store or the database fails.
pub async fn store_upload(
    app: &App,
    upload: Upload,
    uploader: Uploader,
    rules: UploadRules,
) -> Result<StoredBlob, Error> {
    app.blobs.require_up()?;
    let is_known_to_be_too_large = upload.body.size_hint().lower() > rules.max_bytes;
    if is_known_to_be_too_large && upload.waits_for_permission {
        return Err(too_large(rules));
    }
    let deadline = Instant::now() + app.settings.upload_timeout;
    // Each upload has memory for one part, so their number is limited.
    let waiting = app.blobs.slot(uploader, Instant::now() + app.settings.body_timeout);
    let _slot = waiting.await.map_err(no_slot)?;

    let mut incoming = Incoming {
        body: upload.body,
        rest: Bytes::new(),
        is_at_end: false,
        size: 0,
        hash: Sha256::new(),
        max_bytes: rules.max_bytes,
        deadline,
        waited: Duration::ZERO,
    };
    let received = if is_known_to_be_too_large {
        Err(too_large(rules))
    } else {
        receive(app, &mut incoming, rules).await
    };
    if let Err(Error::Refused { code: ErrorCode::BodyTooLarge | ErrorCode::UnsupportedMediaType, .. }) =
        &received
    {
        incoming.discard(app).await;
    }
    received
}

async fn receive(app: &App, incoming: &mut Incoming, rules: UploadRules) -> Result<StoredBlob, Error> {
    let part_size = app.blobs.part_size();
    let beginning = incoming.part(app, part_size, rules).await?;
    let media_type = recognise(&beginning)
        .filter(|media_type| rules.media_types.contains(media_type))
        .ok_or_else(|| other_type(rules))?;
    let id = BlobId::from(Uuid::now_v7());
    unreferenced::note(&app.database, &app.clock, id).await?;
    if incoming.is_at_end {
        app.blobs.put(id, beginning).await?;
    } else {
        let mut partial = app.blobs.begin_parts(id).await?;
        if let Some(parts_id) = partial.parts_id() {
            unreferenced::note_parts(&app.database, id, parts_id).await?;
        }
        match receive_parts(app, incoming, rules, &mut partial, beginning).await {
            Ok(()) => app.blobs.complete_parts(partial).await?,
            Err(refusal @ (Error::Refused { .. } | Error::Abandoned)) => {
                // The parts stay on disk while the file is open.
                drop(partial);
                let _ = unreferenced::delete_unreferenced(&app.database, &app.blobs, id).await;
                return Err(refusal);
            }
            Err(failure) => return Err(failure),
        }
    }
    let checksum = std::mem::take(&mut incoming.hash).finalize().into();
    Ok(StoredBlob { id, media_type, size: incoming.size as i64, checksum })
}

async fn receive_parts(
    app: &App,
    incoming: &mut Incoming,
    rules: UploadRules,
    partial: &mut PartialBlob,
    beginning: Bytes,
) -> Result<(), Error> {
    app.blobs.put_part(partial, beginning).await?;
    while !incoming.is_at_end {
        let part = incoming.part(app, app.blobs.part_size(), rules).await?;
        app.blobs.put_part(partial, part).await?;
    }
    Ok(())
}

/// A file that is being received.
struct Incoming {
    body: Body,
    /// Bytes received after the end of the last part.
    rest: Bytes,
    /// True if the body has ended and `rest` is empty.
    is_at_end: bool,
    size: u64,
    hash: Sha256,
    max_bytes: u64,
    deadline: Instant,
    /// Total time spent waiting for the client.
    waited: Duration,
}

impl Incoming {
    /// Returns the next part, of this size unless it is the last.
    async fn part(&mut self, app: &App, part_size: usize, rules: UploadRules) -> Result<Bytes, Error> {
        let expected = self.body.size_hint().lower() as usize + self.rest.len();
        // Copied into one buffer: the client chooses the size of its pieces, and small ones could keep far
        // more memory alive.
        let mut part = BytesMut::with_capacity(expected.min(part_size));
        loop {
            let fits = self.rest.len().min(part_size - part.len());
            part.extend_from_slice(&self.rest[..fits]);
            self.rest.advance(fits);
            // Only the next piece, or its absence, shows whether this part is the last.
            if !self.rest.is_empty() {
                return Ok(part.freeze());
            }
            match self.piece(app, rules).await? {
                Some(piece) => self.rest = piece,
                None => {
                    self.is_at_end = true;
                    return Ok(part.freeze());
                }
            }
        }
    }

    /// Returns the next piece as received.
    async fn piece(&mut self, app: &App, rules: UploadRules) -> Result<Option<Bytes>, Error> {
        let asked = Instant::now();
        let limit = self.deadline.min(asked + self.patience(app));
        loop {
            let frame = match timeout_at(limit, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(Error::broken_body(&error)),
                Err(_elapsed) => {
                    let message = "The body took too long to arrive.";
                    return Err(Error::refused(ErrorCode::RequestTimeout, message));
                }
            };
            let Ok(piece) = frame.into_data() else { continue };
            if piece.is_empty() {
                continue;
            }
            self.size += piece.len() as u64;
            if self.size > self.max_bytes {
                return Err(too_large(rules));
            }
            self.hash.update(&piece);
            self.waited += asked.elapsed();
            return Ok(Some(piece));
        }
    }

    /// Returns the timeout for the next piece, from the maximum silence and the minimum rate.
    fn patience(&self, app: &App) -> Duration {
        let grace = app.settings.body_timeout;
        let allowed = grace + Duration::from_millis(self.size * 1000 / SLOWEST_PACE);
        allowed.saturating_sub(self.waited).min(grace)
    }

    /// Reads on for a while: a client that is still sending when its connection closes might never see the
    /// response.
    async fn discard(&mut self, app: &App) {
        let limit = self.deadline.min(Instant::now() + app.settings.body_timeout);
        let mut discarded = 0;
        while discarded < self.max_bytes {
            match timeout_at(limit, self.body.frame()).await {
                Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(1, Bytes::len).max(1) as u64,
                _ => return,
            }
        }
    }
}

fn no_slot(reason: NoSlot) -> Error {
    match reason {
        NoSlot::ForAnybody => Error::failed(ErrorType::Unavailable),
        NoSlot::ForUploader => Error::rate_limited(
            "You or your organization have too many concurrent uploads. Try again when some have finished.",
            10,
        ),
    }
}

fn too_large(rules: UploadRules) -> Error {
    let message = format!("The file must have at most {} bytes.", rules.max_bytes);
    Error::refused(ErrorCode::BodyTooLarge, message)
}

fn other_type(rules: UploadRules) -> Error {
    let names: Vec<&str> = rules.media_types.iter().map(|media_type| media_type.as_str()).collect();
    let message = format!("The file's content must be one of: {}.", names.join(", "));
    Error::refused(ErrorCode::UnsupportedMediaType, message)
}
