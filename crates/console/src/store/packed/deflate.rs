//! Deflated blocks.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Deflates at level 1, which is several times faster than the default and nearly as small here:
/// most bytes are ids.
pub(in crate::store) fn deflate(bytes: &[u8]) -> Box<[u8]> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::new(1));
    // Writing to a vector cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default().into_boxed_slice()
}

/// Inflates to exactly `length` bytes, or returns `None`.
pub(in crate::store) fn inflate(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut inflated = vec![0; length];
    let mut decoder = flate2::Decompress::new(false);
    let status = decoder.decompress(packed, &mut inflated, flate2::FlushDecompress::Finish);
    let is_whole = matches!(status, Ok(flate2::Status::StreamEnd)) && decoder.total_out() == length as u64;
    is_whole.then_some(inflated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_are_inflated_as_they_were(bytes: Vec<u8>) {
            let packed = deflate(&bytes);
            prop_assert_eq!(inflate(&packed, bytes.len()), Some(bytes.clone()));
            prop_assert_eq!(inflate(&packed, bytes.len() + 1), None);
        }

        #[test]
        fn damage_is_no_panic(bytes: Vec<u8>, length in 0_usize..1000) {
            let _ = inflate(&bytes, length);
        }
    }
}
