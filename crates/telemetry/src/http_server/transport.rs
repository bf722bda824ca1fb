//! Transport of a request: the scheme on the client's side, and the version of HTTP.

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, Version};
use signal::ClosedSet;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The scheme with which a client sent its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ClosedSet)]
#[label("url.scheme")]
pub enum UrlScheme {
    /// Without encryption.
    #[default]
    Http,
    /// Encrypted, as far as the proxy in front of this process.
    Https,
}

impl UrlScheme {
    /// Returns the scheme that a proxy reports. Of several, the first is the client's. A client that
    /// forges one through a proxy which appends chooses between two values only.
    pub(super) fn forwarded(headers: &HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(X_FORWARDED_PROTO) {
            return Self::parse(value.to_str().ok()?.split(',').next()?);
        }
        let first = headers.get(FORWARDED)?.to_str().ok()?.split(',').next()?;
        let named = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| Self::parse(value.trim().trim_matches('"')))
        };
        first.split(';').find_map(named).flatten()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// A version of HTTP, as the conventions write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtocolVersion {
    Http10,
    Http11,
    Http2,
}

impl ProtocolVersion {
    const COUNT: usize = 3;

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }

    /// Returns `None` for a request that was not read from a connection of these versions.
    fn of(version: Version) -> Option<Self> {
        match version {
            Version::HTTP_10 => Some(Self::Http10),
            Version::HTTP_11 => Some(Self::Http11),
            Version::HTTP_2 => Some(Self::Http2),
            _ => None,
        }
    }
}

/// The parts of a request that select its record, besides route and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transport {
    pub(super) scheme: UrlScheme,
    pub(super) version: Option<ProtocolVersion>,
}

impl Transport {
    /// Number of combinations.
    pub(super) const COUNT: usize = UrlScheme::ALL.len() * VERSIONS;

    pub(super) fn new(scheme: UrlScheme, version: Version) -> Self {
        Self { scheme, version: ProtocolVersion::of(version) }
    }

    /// Returns the index among all combinations.
    #[inline]
    pub(super) fn index(self) -> usize {
        let version = self.version.map_or(ProtocolVersion::COUNT, |version| version as usize);
        self.scheme as usize * VERSIONS + version
    }
}

/// Number of versions, including none.
const VERSIONS: usize = ProtocolVersion::COUNT + 1;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn forwarded(headers: &[(&'static str, &str)]) -> Option<UrlScheme> {
        let entries = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        });
        UrlScheme::forwarded(&entries.collect())
    }

    #[test]
    fn a_scheme_is_read_from_either_header() {
        let (http, https) = (Some(UrlScheme::Http), Some(UrlScheme::Https));
        for (headers, expected) in [
            (&[("x-forwarded-proto", "https")][..], https),
            (&[("x-forwarded-proto", "HTTPS")], https),
            (&[("x-forwarded-proto", "http")], http),
            (&[("x-forwarded-proto", "https, http")], https),
            (&[("x-forwarded-proto", " http ,https")], http),
            (&[("forwarded", "for=192.0.2.60;proto=https;by=203.0.113.43")], https),
            (&[("forwarded", "for=192.0.2.60; Proto=\"https\", for=10.0.0.1;proto=http")], https),
            (&[("forwarded", "proto=http"), ("x-forwarded-proto", "https")], https),
            (&[], None),
            (&[("forwarded", "for=192.0.2.60, proto=https")], None),
            (&[("forwarded", "proto")], None),
            (&[("forwarded", "")], None),
            (&[("x-forwarded-proto", "")], None),
            (&[("x-forwarded-proto", "wss")], None),
            (&[("x-forwarded-proto", "https://")], None),
            (&[("x-forwarded-proto", "h\u{e9}")], None),
        ] {
            assert_eq!(forwarded(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn every_combination_has_its_own_index() {
        let versions = [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
        let all =
            UrlScheme::ALL.iter().flat_map(|scheme| versions.map(|version| Transport::new(*scheme, version)));
        let mut indexes: Vec<usize> = all.map(Transport::index).collect();
        indexes.sort_unstable();
        assert_eq!(indexes, (0..Transport::COUNT).collect::<Vec<_>>());
    }
}
