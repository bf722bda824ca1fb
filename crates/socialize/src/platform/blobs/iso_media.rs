//! Recognizes MP4 by its structure: a chain of boxes (ISO/IEC 14496-12), each with a size and a type of
//! four characters.
//!
//! The first box lists the standards ("brands") that a file conforms to. Writers choose the major brand
//! freely, so a compatible brand suffices. A chain of known boxes must follow, up to the first one with media
//! or its index. A file that merely begins with the first box is rejected.

/// Brands of files that MP4 players support: ISO/IEC 14496-12, -14 and -15, DASH and CMAF, and brands of
/// programs and cameras that write such files.
const BRANDS: &[&[u8; 4]] = &[
    b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"isoa", b"isob",
    b"isoc", b"mp41", b"mp42", b"mp71", b"mmp4", b"mp4v", b"avc1", b"hvc1", b"hev1", b"av01",
    // DASH, CMAF, and Smooth Streaming.
    b"dash", b"msdh", b"msix", b"dsms", b"cmfc", b"cmf2", b"cmfs", b"cmff", b"isml", b"piff",
    // Apple, Adobe, Sony, Nero.
    b"M4V ", b"M4VH", b"M4VP", b"F4V ", b"F4P ", b"MSNV", b"XAVC", b"NDAS", b"NDSC", b"NSDC", b"NDSH",
    b"NDSM", b"NDSP", b"NDSS", b"NDXC", b"NDXH", b"NDXM", b"NDXP", b"NDXS",
];

/// Major brands of images, raw photographs and audio. These files may list a video brand as compatible, but
/// have other media types.
const OTHERS: &[&[u8; 4]] = &[
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1",
    b"miaf", b"avif", b"avis", b"jpeg", b"jpgs", b"jp2 ", b"jpx ", b"jpm ", b"mjp2", b"jxl ", b"crx ",
    b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax ",
];

/// Boxes with media or its index.
const MEDIA: &[&[u8; 4]] = &[b"moov", b"moof", b"mdat"];

/// Boxes that can stand before those (14496-12, table 1; 23009-1; QuickTime).
const BEFORE_MEDIA: &[&[u8; 4]] = &[
    b"ftyp", b"styp", b"free", b"skip", b"wide", b"uuid", b"pdin", b"sidx", b"ssix", b"prft", b"emsg",
    b"meta", b"meco", b"bloc",
];

/// Maximum number of boxes before the media. Live streams have an event message or two per segment.
const MOST_BOXES: usize = 64;
/// Maximum number of compatible brands; ffmpeg writes up to six.
const MOST_BRANDS: usize = 64;

/// Maximum size of the space that a writer reserves for an index.
const MOST_ROOM: u64 = 1 << 30;

/// Returns whether a file with this beginning is MP4.
pub(super) fn is_mp4(beginning: &[u8]) -> bool {
    let Some(first) = BoxHeader::read(beginning) else { return false };
    // Segments of a stream begin with a box of another type but the same content.
    if !matches!(&first.kind, b"ftyp" | b"styp") || !has_brand(&first, beginning) {
        return false;
    }
    let mut rest = beginning;
    for _ in 0..MOST_BOXES {
        let Some(next) = BoxHeader::read(rest) else { return false };
        if MEDIA.contains(&&next.kind) {
            return true;
        }
        if !BEFORE_MEDIA.contains(&&next.kind) {
            return false;
        }
        // Without a size it extends to the end of the file.
        let Some(size) = next.size else { return false };
        match usize::try_from(size).ok().and_then(|size| rest.get(size..)) {
            Some(after) => rest = after,
            // Reserved space that extends beyond the inspected part of the file.
            None => return matches!(&next.kind, b"free" | b"skip" | b"uuid") && size <= MOST_ROOM,
        }
    }
    false
}

/// Returns whether the first box lists a brand of MP4.
fn has_brand(first: &BoxHeader, beginning: &[u8]) -> bool {
    let content = first.size.and_then(|size| beginning.get(first.length..usize::try_from(size).ok()?));
    // Major brand, its version, compatible brands.
    let Some(([major, _version, compatible @ ..], [])) = content.map(<[u8]>::as_chunks::<4>) else {
        return false;
    };
    let is_known = |brand: &[u8; 4]| BRANDS.contains(&brand);
    compatible.len() <= MOST_BRANDS
        && !OTHERS.contains(&major)
        && (is_known(major) || compatible.iter().any(is_known))
}

struct BoxHeader {
    kind: [u8; 4],
    /// Size including this header; `None` if the box extends to the end of the file.
    size: Option<u64>,
    /// Length of this header.
    length: usize,
}

impl BoxHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (size, length) = match u32::from_be_bytes(*size) {
            0 => (None, 8),
            // A size of 64 bits follows the type.
            1 => (Some(u64::from_be_bytes(*rest.first_chunk()?)), 16),
            size => (Some(u64::from(size)), 8),
        };
        let is_possible = size.is_none_or(|size| size >= length as u64);
        is_possible.then_some(Self { kind: *kind, size, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(8 + content.len()).expect("a small box");
        [&size.to_be_bytes(), &kind[..], content].concat()
    }

    fn large(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = 16 + content.len() as u64;
        [&1_u32.to_be_bytes(), &kind[..], &size.to_be_bytes(), content].concat()
    }

    fn ftyp(major: &[u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
        boxed(
            b"ftyp",
            &[&major[..], &[0, 0, 2, 0], &compatible.iter().flat_map(|brand| **brand).collect::<Vec<_>>()]
                .concat(),
        )
    }

    fn film(first: Vec<u8>) -> Vec<u8> {
        [first, boxed(b"free", b""), boxed(b"mdat", b"frames"), boxed(b"moov", b"index")].concat()
    }

    #[test]
    fn brands_of_films_are_recognised_wherever_they_are_named() {
        for brand in BRANDS {
            assert!(is_mp4(&film(ftyp(brand, &[]))), "{}", brand.escape_ascii());
            assert!(is_mp4(&film(ftyp(b"NIKO", &[b"NIKO", brand]))), "{}", brand.escape_ascii());
        }
        // Apple's recorders and cameras list several.
        assert!(is_mp4(&film(ftyp(b"qt  ", &[b"qt  ", b"mp42"]))));
        assert!(is_mp4(&film(ftyp(b"3gp4", &[b"isom", b"3gp4"]))));
    }

    #[test]
    fn pictures_audio_and_quicktime_are_no_mp4() {
        for other in OTHERS {
            assert!(
                !is_mp4(&film(ftyp(other, &[other, b"isom", b"mp42", b"iso8"]))),
                "{}",
                other.escape_ascii()
            );
        }
        assert!(!is_mp4(&film(ftyp(b"qt  ", &[b"qt  "]))));
        assert!(!is_mp4(&film(ftyp(b"3gp4", &[b"3gp4"]))));
        assert!(!is_mp4(&film(ftyp(b"NIKO", &[]))));
    }

    #[test]
    fn every_layout_is_followed_to_the_first_frames() {
        let first = || ftyp(b"iso5", &[b"iso6", b"mp41"]);
        for (layout, file) in [
            ("index in front", [first(), boxed(b"moov", b"index"), boxed(b"mdat", b"")].concat()),
            ("fragments", [first(), boxed(b"moov", b"index"), boxed(b"moof", b"")].concat()),
            ("index of segments", [first(), boxed(b"sidx", b"index"), boxed(b"moof", b"")].concat()),
            (
                "a segment",
                [boxed(b"styp", b"msdh\0\0\0\0msdhmsix"), boxed(b"sidx", b""), boxed(b"moof", b"")].concat(),
            ),
            ("event messages", [first(), boxed(b"emsg", b"x").repeat(9), boxed(b"moof", b"")].concat()),
            ("large sizes", [first(), large(b"free", b"x"), large(b"mdat", b"frames")].concat()),
            ("a large size in front", [large(b"ftyp", b"isom\0\0\0\0"), boxed(b"mdat", b"")].concat()),
            ("frames to the end", [first(), b"\0\0\0\0mdat".to_vec()].concat()),
            ("QuickTime's room", [first(), boxed(b"wide", b""), boxed(b"mdat", b"")].concat()),
            ("a lot of room", [first(), b"\0\x7f\0\0free".to_vec(), vec![0; 4096]].concat()),
        ] {
            assert!(is_mp4(&file), "{layout}");
        }
    }

    #[test]
    fn what_only_begins_like_a_film_is_none() {
        let first = || ftyp(b"isom", &[b"isom", b"mp42"]);
        for (what, file) in [
            ("nothing else", first()),
            ("text", [first(), b"<script>alert(1)</script>".to_vec()].concat()),
            ("text in an unknown box", [first(), boxed(b"html", b"<script>")].concat()),
            ("text in front", [b"<!doctype html>".to_vec(), film(first())].concat()),
            ("one byte in front", [b"\0".to_vec(), film(first())].concat()),
            ("a box that is smaller than its header", [first(), b"\0\0\0\x04mdat".to_vec()].concat()),
            ("a large one, too", [first(), b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x08".to_vec()].concat()),
            ("a first box without brands", film(boxed(b"ftyp", b""))),
            ("a first box that is cut off", first()[..20].to_vec()),
            ("a first box that goes on for ever", b"\0\0\0\0ftypisom\0\0\0\0isom\0\0\0\x08mdat".to_vec()),
            (
                "a first box of an odd size",
                [b"\0\0\0\x15ftypisom\0\0\0\0isomx".to_vec(), boxed(b"mdat", b"")].concat(),
            ),
            (
                "a first box larger than the file",
                [b"\0\0\xff\xffftypisom".to_vec(), boxed(b"mdat", b"")].concat(),
            ),
            (
                "too many boxes",
                [first(), boxed(b"free", b"").repeat(MOST_BOXES), boxed(b"mdat", b"")].concat(),
            ),
            (
                "a size that overflows",
                [first(), b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()].concat(),
            ),
        ] {
            assert!(!is_mp4(&file), "{what}");
        }
        let film = film(first());
        for end in 0..first().len() + 16 {
            assert!(!is_mp4(&film[..end]), "cut off after {end} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_file_panics(
            sizes in prop::collection::vec(any::<u32>(), 0..4),
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut file = ftyp(b"isom", &[]);
            for size in sizes {
                file.extend([&(size % 24).to_be_bytes()[..], b"free", &bytes].concat());
            }
            let _ = (is_mp4(&file), is_mp4(&bytes));
        }
    }
}
