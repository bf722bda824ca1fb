//! Detects a file's type by its first bytes. Its name and its declared type are ignored: a browser that is
//! told a wrong type may run a picture as a script.

use domain::vocabulary::MediaType;

use super::iso_media::is_mp4;

/// The type of a file with this beginning, if it may be uploaded.
pub(crate) fn recognise(beginning: &[u8]) -> Option<MediaType> {
    let found = [
        (is_png(beginning), MediaType::Png),
        (beginning.starts_with(b"\xff\xd8\xff"), MediaType::Jpeg),
        (beginning.starts_with(b"GIF87a") || beginning.starts_with(b"GIF89a"), MediaType::Gif),
        (is_webp(beginning), MediaType::Webp),
        (is_mp4(beginning), MediaType::Mp4),
        (beginning.starts_with(b"%PDF-"), MediaType::Pdf),
    ];
    found.into_iter().find(|(is_it, _)| *is_it).map(|(_, media_type)| media_type)
}

/// Checks the whole signature. Its line ends reveal a transfer in text mode.
fn is_png(beginning: &[u8]) -> bool {
    beginning.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// Checks for a RIFF container with one of the three chunks that begin a WebP file: lossy, lossless,
/// extended.
fn is_webp(beginning: &[u8]) -> bool {
    let kind = beginning
        .strip_prefix(b"RIFF")
        .and_then(|rest| rest.get(4..))
        .and_then(|rest| rest.strip_prefix(b"WEBP"));
    kind.is_some_and(|kind| [b"VP8 ", b"VP8L", b"VP8X"].iter().any(|known| kind.starts_with(*known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_recognised_by_their_beginning() {
        let webp = [b"RIFF".as_slice(), &[0; 4], b"WEBPVP8 "].concat();
        for (beginning, expected) in [
            (b"\x89PNG\r\n\x1a\n rest".as_slice(), Some(MediaType::Png)),
            (b"\xff\xd8\xff\xe0 rest", Some(MediaType::Jpeg)),
            (b"GIF89a rest", Some(MediaType::Gif)),
            (&webp, Some(MediaType::Webp)),
            (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\0mdat rest", Some(MediaType::Mp4)),
            (b"%PDF-1.7 rest", Some(MediaType::Pdf)),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\">", None),
            (b"<!doctype html><script>", None),
            // A browser would interpret the bytes in front.
            (b"<script>WEBP", None),
            (b"RIFF\x24\0\0\0WEBPfmt ", None),
            (b"RIFF\x24\0\0\0WAVEfmt ", None),
            (b"GIF<script>", None),
            (b"\x89PNG<script>", None),
            (b"\x89PNG\n\x1a\n changed by a text mode", None),
            (b"%PDF<script>", None),
            (b"\0\0\0\x18ftypisom<script>alert(1)</script>", None),
            (b"MZ\x90\0", None),
            (b"\x7fELF", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ] {
            assert_eq!(recognise(beginning), expected, "{}", String::from_utf8_lossy(beginning));
        }
    }

    proptest! {
        #[test]
        fn no_file_panics(beginning in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = recognise(&beginning);
        }
    }
}
