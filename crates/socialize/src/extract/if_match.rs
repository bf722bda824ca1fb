//! Edits of what several people edit: the answer to a reading carries the version as its `ETag`, and an edit says in
//! `If-Match` which version it is about, so that nobody overwrites what they have not seen.

use axum::extract::FromRequestParts;
use domain::labels::ErrorCode;
use http::header;
use http::request::Parts;

use crate::app::App;
use crate::error::Error;

/// The `ETag` of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// What the `If-Match` header of a request asks for; a request without one is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever the version is. The client says that it does not mind overwriting.
    Any,
    /// One of these entity tags, with their quotes. Weak ones are left out, for they never match here (RFC 9110, 13.1.1).
    Tags(Vec<String>),
}

impl FromRequestParts<App> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let lines: Vec<_> = parts.headers.get_all(header::IF_MATCH).iter().collect();
        if lines.is_empty() {
            let message = "Send If-Match with the ETag of the version that you have read, so that you do not overwrite what somebody else wrote meanwhile.";
            return Err(Error::refused(ErrorCode::PreconditionRequired, message));
        }
        let text: Result<Vec<&str>, _> = lines.into_iter().map(|line| line.to_str()).collect();
        text.ok().and_then(|text| Self::parse(&text.join(","))).ok_or_else(|| {
            let message = "If-Match must be the ETag of an earlier answer, with its quotes.";
            Error::refused(ErrorCode::MalformedRequest, message)
        })
    }
}

impl IfMatch {
    /// Refuses unless the version is one that the client asks for.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, version: i64) -> Result<(), Error> {
        match self {
            Self::Any => Ok(()),
            Self::Tags(tags) if tags.contains(&etag(version)) => Ok(()),
            Self::Tags(_) => {
                let message = "Somebody has changed it since you read it: read it again, and repeat your edit on that version.";
                Err(Error::refused(ErrorCode::VersionMismatch, message))
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text.trim_start();
        loop {
            let (is_weak, tag) = match rest.strip_prefix("W/") {
                Some(tag) => (true, tag),
                None => (false, rest),
            };
            let (opaque, after) = tag.strip_prefix('"')?.split_once('"')?;
            if !opaque.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            if !is_weak {
                tags.push(format!("\"{opaque}\""));
            }
            let after = after.trim_start();
            if after.is_empty() {
                return Some(Self::Tags(tags));
            }
            rest = after.strip_prefix(',')?.trim_start();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(tags: &[&str]) -> Option<IfMatch> {
        Some(IfMatch::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect()))
    }

    #[test]
    fn the_header_is_read_as_the_standard_has_it() {
        assert_eq!(IfMatch::parse("*"), Some(IfMatch::Any));
        assert_eq!(IfMatch::parse("\"1\""), tags(&["\"1\""]));
        assert_eq!(IfMatch::parse(" \"1\" ,\"a,b\" "), tags(&["\"1\"", "\"a,b\""]));
        assert_eq!(IfMatch::parse("W/\"1\", \"2\""), tags(&["\"2\""]));
        for malformed in
            ["", "1", "\"1", "1\"", "\"1\"\"2\"", "\"1\",", ",\"1\"", "\"a b\"", "w/\"1\"", "*, \"1\""]
        {
            assert_eq!(IfMatch::parse(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn only_the_version_that_was_read_may_be_edited() {
        assert!(IfMatch::Any.check(7).is_ok());
        assert!(IfMatch::parse(&etag(7)).is_some_and(|asked| asked.check(7).is_ok()));
        assert!(IfMatch::parse(&etag(7)).is_some_and(|asked| asked.check(8).is_err()));
        assert!(IfMatch::parse("W/\"7\"").is_some_and(|asked| asked.check(7).is_err()));
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "[*W/\", \\-0-9a-é]{0,24}") {
            let _ = IfMatch::parse(&header);
        }
    }
}
