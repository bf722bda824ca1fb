//! Frames of a file: compressed payloads with a checksum.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// The first bytes of every file, with the version of the format.
pub(in super::super) const HEADER: &[u8; 8] = b"METRICS1";

/// The first bytes of a frame, at which reading resumes after damage.
const MAGIC: [u8; 4] = [0xf5, b'M', b'F', 0x0a];

/// Bytes before the payload: magic, length, checksum.
const HEAD: usize = 12;

/// Maximum size of an uncompressed payload.
const MOST_BYTES: u64 = 64 << 20;

pub(in super::super) fn encode(payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = vec![0; HEAD];
    let mut encoder = DeflateEncoder::new(out, Compression::fast());
    encoder.write_all(payload)?;
    out = encoder.finish()?;
    let length = u32::try_from(out.len() - HEAD).map_err(io::Error::other)?;
    let checksum = checksum(&out[HEAD..]);
    out[..4].copy_from_slice(&MAGIC);
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out[8..12].copy_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Integrity of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Condition {
    /// All frames are valid.
    Sound,
    /// The last frame is incomplete, as after a crash in the middle of a write.
    Torn,
    /// Frames are missing.
    Damaged,
}

/// The valid frames of a file.
pub(in super::super) struct Frames<'a> {
    rest: &'a [u8],
    pub(in super::super) condition: Condition,
}

impl<'a> Frames<'a> {
    pub(in super::super) fn new(file: &'a [u8]) -> Self {
        match file.strip_prefix(HEADER) {
            Some(rest) => Self { rest, condition: Condition::Sound },
            None if HEADER.starts_with(file) => Self { rest: &[], condition: Condition::Torn },
            None => Self { rest: &[], condition: Condition::Damaged },
        }
    }

    /// Returns the next frame and its payload.
    pub(in super::super) fn next(&mut self) -> Option<(&'a [u8], Vec<u8>)> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if let Some((frame, payload)) = valid(self.rest) {
                self.rest = &self.rest[frame.len()..];
                return Some((frame, payload));
            }
            let skip = self.rest.windows(MAGIC.len()).skip(1).position(|bytes| bytes == MAGIC);
            let Some(skip) = skip else {
                // Nothing follows, so a crash may have truncated the frame.
                let torn = self.condition == Condition::Sound && is_cut_off(self.rest);
                self.condition = if torn { Condition::Torn } else { Condition::Damaged };
                self.rest = &[];
                return None;
            };
            self.condition = Condition::Damaged;
            self.rest = &self.rest[skip + 1..];
        }
    }
}

/// Returns the length, the checksum and the remaining bytes of a frame.
fn head(bytes: &[u8]) -> Option<(usize, u32, &[u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*length) as usize, u32::from_le_bytes(*checksum), rest))
}

fn is_cut_off(bytes: &[u8]) -> bool {
    match head(bytes) {
        Some((length, _, rest)) => rest.len() < length,
        None => MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]),
    }
}

fn valid(bytes: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let (length, expected, rest) = head(bytes)?;
    let packed = rest.get(..length)?;
    if checksum(packed) != expected {
        return None;
    }
    let mut payload = Vec::new();
    DeflateDecoder::new(packed).take(MOST_BYTES).read_to_end(&mut payload).ok()?;
    Some((&bytes[..HEAD + length], payload))
}
