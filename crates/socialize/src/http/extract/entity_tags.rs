//! Entity tags in responses, and in requests that passed through a proxy.
//!
//! A proxy that compresses a response sends different bytes, so it has to change the tag. nginx, Varnish,
//! Envoy and most CDNs make it weak (`W/"7"`). Apache, Caddy and Jetty append the coding (`"7-gzip"`,
//! `"7;gzip"`, `"7--br"`). Clients return the changed tag, and most proxies forward it unchanged. Tags here
//! identify a version or a content, never an encoding, so all of these forms identify the same object.
//! `headers::IfMatch` compares strongly and in full, as the standard has it, and would refuse each of them.

/// Codings of <https://www.iana.org/assignments/http-parameters> that proxies compress with.
const CODINGS: &[&str] = &["x-gzip", "gzip", "br", "zstd", "deflate", "compress", "dcb", "dcz"];
/// Separators between a tag and a coding.
const SEPARATORS: &[char] = &['-', ';', ':', '.', '+', '_', '/'];
/// Maximum number of codings that are removed. Apache can append its own twice (its bug 45023), and a CDN
/// in front of it one more.
const MOST_CODINGS: usize = 4;

pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any version.
    Any,
    /// The listed tags without quotes, without `W/`, and without suffixes of proxies.
    Tags(Vec<String>),
}

impl EntityTags {
    /// Parses a header whose lines were joined by commas (RFC 9110, 8.8.3, 13.1.1, 13.1.2). Returns `None` if
    /// it is malformed.
    ///
    /// Weak tags match like strong ones. The standard forbids that for `If-Match` because a weak tag can
    /// identify several contents. Tags here never do: only proxies make them weak, and the number in the tag
    /// still identifies one version.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            // Recipients have to ignore empty elements (RFC 9110, 5.6.1.2).
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start();
                continue;
            }
            let tag = rest.strip_prefix("W/").unwrap_or(rest);
            let (opaque, after) = tag.strip_prefix('"')?.split_once('"')?;
            if !opaque.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            tags.push(without_codings(opaque).to_owned());
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
        (!tags.is_empty()).then_some(Self::Tags(tags))
    }

    /// Returns whether one of the tags matches this `ETag`, in the quoted form of responses.
    pub fn name(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag == etag.trim_matches('"')),
        }
    }
}

/// Removes codings from the end of a tag. Tags here are decimal or hexadecimal, so they never end in a
/// separator and a coding.
fn without_codings(opaque: &str) -> &str {
    let mut tag = opaque;
    for _ in 0..MOST_CODINGS {
        let Some(shorter) = without_coding(tag) else { break };
        tag = shorter;
    }
    tag
}

fn without_coding(tag: &str) -> Option<&str> {
    let before = CODINGS.iter().find_map(|coding| {
        let (before, end) = tag.split_at_checked(tag.len().checked_sub(coding.len())?)?;
        end.eq_ignore_ascii_case(coding).then_some(before)
    })?;
    let shorter = before.strip_suffix(SEPARATORS)?;
    // Jetty writes two hyphens.
    Some(shorter.strip_suffix(SEPARATORS).unwrap_or(shorter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(tags: &[&str]) -> Option<EntityTags> {
        Some(EntityTags::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect()))
    }

    fn names(header: &str, etag: &str) -> bool {
        EntityTags::parse(header).is_some_and(|tags| tags.name(etag))
    }

    #[test]
    fn the_header_is_read_as_the_standard_has_it() {
        assert_eq!(EntityTags::parse("*"), Some(EntityTags::Any));
        assert_eq!(EntityTags::parse("\"1\""), tags(&["1"]));
        assert_eq!(EntityTags::parse(" \"1\" ,\"a,b\" "), tags(&["1", "a,b"]));
        assert_eq!(EntityTags::parse("W/\"1\", \"2\""), tags(&["1", "2"]));
        assert_eq!(EntityTags::parse(",\"1\",, \"2\","), tags(&["1", "2"]));
        for malformed in [
            "",
            " ",
            ",",
            "1",
            "\"1",
            "1\"",
            "\"1\"\"2\"",
            "\"1\" \"2\"",
            "\"a b\"",
            "w/\"1\"",
            "W/1",
            "*, \"1\"",
        ] {
            assert_eq!(EntityTags::parse(malformed), None, "{malformed}");
        }
    }

    /// Version 1 as proxies change it. The first two are from real programs (`tests/process/proxies`), the
    /// others from documentation and bug reports.
    const CHANGED: &[&str] = &[
        "W/\"1\"",         // nginx with gzip; Varnish, Envoy, HAProxy, Cloudflare, CloudFront
        "\"1-gzip\"",      // Apache with mod_deflate; Caddy since 2.8
        "\"1-br\"",        // Apache with mod_brotli
        "\"1-zstd\"",      // Caddy since 2.8
        "\"1;gzip\"",      // older Apache
        "\"1;br\"",        // the same
        "\"1--gzip\"",     // Jetty
        "\"1-gzip-gzip\"", // Apache, when a client returns what it got before
        "W/\"1-gzip\"",    // Apache behind nginx
        "W/\"1;gzip\"",    // older Apache behind nginx
        "W/\"1-zstd\"",    // Caddy behind nginx
        "\"1:deflate\"",   // spelled in other ways
        "\"1-GZIP\"",
        "\"1.x-gzip\"",
    ];

    #[test]
    fn what_proxies_make_of_a_version_names_this_version_and_no_other() {
        for changed in CHANGED {
            assert!(names(changed, &etag(1)), "{changed}");
            assert!(names(&format!("\"9\", {changed}"), &etag(1)), "{changed}");
            for other in [0, 2, 10, 11, 12] {
                assert!(!names(changed, &etag(other)), "{changed} is not {other}");
            }
        }
    }

    #[test]
    fn nothing_else_is_cut_off() {
        for other in [
            "\"1gzip\"",
            "\"1-\"",
            "\"1-2\"",
            "\"-gzip\"",
            "\"1-gzip2\"",
            "\"gzip\"",
            "\"1---gzip\"",
            "\"01\"",
            "\"1-lz4\"",
            "\"+1\"",
        ] {
            assert!(!names(other, &etag(1)), "{other}");
        }
        // The end of a checksum can look like a coding.
        let checksum = format!("\"{}b\"", "0".repeat(63));
        assert!(names(&checksum, &checksum));
        assert!(names(&checksum.replace("b\"", "b-br\""), &checksum));
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "[*W/\", \\-;a-z0-9é]{0,24}") {
            let _ = EntityTags::parse(&header);
        }

        #[test]
        fn a_version_is_named_by_its_own_tag_only(
            version in 1_i64..,
            asked in 1_i64..,
            weak in any::<bool>(),
            codings in prop::collection::vec(
                (prop::sample::select(SEPARATORS), prop::sample::select(CODINGS)),
                0..=MOST_CODINGS,
            ),
        ) {
            let codings: String = codings.iter().map(|(separator, coding)| format!("{separator}{coding}")).collect();
            let header = format!("{}\"{asked}{codings}\"", if weak { "W/" } else { "" });
            prop_assert!(names(&header, &etag(asked)), "{header}");
            prop_assert_eq!(names(&header, &etag(version)), version == asked);
        }
    }
}
