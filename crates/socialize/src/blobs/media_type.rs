//! What a file is, by how it begins. What its name or its client says does not count: a browser that is told a lie may run a
//! picture as a script.

use domain::vocabulary::MediaType;

/// The type of a file that begins so, if it can be uploaded at all.
pub(super) fn recognise(beginning: &[u8]) -> Option<MediaType> {
    let found = [
        (infer::image::is_png(beginning), MediaType::Png),
        (infer::image::is_jpeg(beginning), MediaType::Jpeg),
        (infer::image::is_gif(beginning), MediaType::Gif),
        (infer::image::is_webp(beginning), MediaType::Webp),
        (infer::video::is_mp4(beginning), MediaType::Mp4),
        (infer::archive::is_pdf(beginning), MediaType::Pdf),
    ];
    found.into_iter().find(|(is_it, _)| *is_it).map(|(_, media_type)| media_type)
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
            (b"\0\0\0\x18ftypisom rest", Some(MediaType::Mp4)),
            (b"%PDF-1.7 rest", Some(MediaType::Pdf)),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\">", None),
            (b"<!doctype html><script>", None),
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
