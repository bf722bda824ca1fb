//! Receiving a file and storing it while it arrives.
//!
//! Limits, type and checksum are found out on the way: at no time is more of the file in memory than one part. What is
//! refused leaves nothing behind. What fails in between, or is abandoned by its client, is left to the clean-up, for nobody
//! knows what the store is still about to do.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use domain::ids::BlobId;
use domain::labels::ErrorCode;
use domain::vocabulary::MediaType;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use sha2::{Digest, Sha256};
use telemetry::ClosedSet;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::media_type::recognise;
use super::slots::Uploader;
use super::{PartialBlob, unreferenced};
use crate::app::App;
use crate::database::Transaction;
use crate::error::Error;
use crate::extract::Upload;

/// Minimum average number of bytes a second, after a grace period as long as a small body may take. An upload occupies a slot.
const SLOWEST_PACE: u64 = 8 << 10;

/// What may be uploaded.
#[derive(Clone, Copy)]
pub struct UploadRules {
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// What it may be.
    pub media_types: &'static [MediaType],
}

/// A file that is stored and to which no row refers yet.
pub struct StoredBlob {
    /// What it is stored under.
    pub id: BlobId,
    /// What it is.
    pub media_type: MediaType,
    /// How many bytes it has.
    pub size: i64,
    /// Its SHA-256.
    pub checksum: [u8; 32],
}

impl StoredBlob {
    /// Says in a transaction that a row refers to it from now on.
    ///
    /// # Errors
    /// If it took so long that the file was taken for abandoned, or the database fails.
    pub async fn reference(&self, app: &App, transaction: &mut Transaction) -> Result<(), Error> {
        unreferenced::forget_referenced(app, transaction, self.id).await
    }

    /// Deletes it unless a row refers to it. What cannot be deleted now is left to the clean-up.
    pub async fn discard(self, app: &App) {
        // Whatever is wrong has a record of its own.
        let _ = unreferenced::delete_unreferenced(app, self.id).await;
    }
}

/// Receives a file and stores it.
///
/// # Errors
/// If it is too large or of another type, does not arrive in time, or the store or the database fails.
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
    // Each upload has memory for one part, so only so many can be under way.
    let waiting = app.blobs.inner.uploads.take(uploader, Instant::now() + app.settings.body_timeout);
    let _slot = waiting.await?;

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
    unreferenced::note(app, id).await?;
    if incoming.is_at_end {
        app.blobs.put(id, beginning).await?;
    } else {
        let mut partial = app.blobs.begin_parts(id).await?;
        if let Some(parts_id) = partial.parts_id() {
            unreferenced::note_parts(app, id, parts_id).await?;
        }
        match receive_parts(app, incoming, rules, &mut partial, beginning).await {
            Ok(()) => app.blobs.complete_parts(partial).await?,
            Err(refusal @ (Error::Refused { .. } | Error::Abandoned)) => {
                // The parts are on the disk as long as somebody has the file open.
                drop(partial);
                let _ = unreferenced::delete_unreferenced(app, id).await;
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

/// A file on its way in.
struct Incoming {
    body: Body,
    /// What came with the end of the last part and belongs to the next.
    rest: Bytes,
    /// Whether all has come and `rest` is empty.
    is_at_end: bool,
    size: u64,
    hash: Sha256,
    max_bytes: u64,
    deadline: Instant,
    /// Total time spent waiting for the client.
    waited: Duration,
}

impl Incoming {
    /// The next part: of this size, unless it is the last.
    async fn part(&mut self, app: &App, part_size: usize, rules: UploadRules) -> Result<Bytes, Error> {
        let expected = self.body.size_hint().lower() as usize + self.rest.len();
        // Copied together: pieces that a client makes as small as it likes could keep far more memory alive.
        let mut part = BytesMut::with_capacity(expected.min(part_size));
        loop {
            let fits = self.rest.len().min(part_size - part.len());
            part.extend_from_slice(&self.rest[..fits]);
            self.rest.advance(fits);
            // Whether this part is the last shows when the next piece comes or does not.
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

    /// The next piece as it came.
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

    /// Returns how long to wait for the next piece: a client must neither be silent for too long nor slower than the slowest pace.
    fn patience(&self, app: &App) -> Duration {
        let grace = app.settings.body_timeout;
        let allowed = grace + Duration::from_millis(self.size * 1000 / SLOWEST_PACE);
        allowed.saturating_sub(self.waited).min(grace)
    }

    /// Reads on for a while: a client that is still sending when its connection is closed might never see the answer.
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

fn too_large(rules: UploadRules) -> Error {
    let message = format!("The file must have at most {} bytes.", rules.max_bytes);
    Error::refused(ErrorCode::BodyTooLarge, message)
}

fn other_type(rules: UploadRules) -> Error {
    let names: Vec<&str> = rules.media_types.iter().map(|media_type| media_type.as_str()).collect();
    let message = format!("By its content the file must be one of: {}.", names.join(", "));
    Error::refused(ErrorCode::UnsupportedMediaType, message)
}
