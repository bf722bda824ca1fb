//! Ids in addresses: of traces, users, organizations, workspaces and content items.

use std::fmt;

use super::problem::Problem;
use crate::store::spans::TraceId;

/// An id to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identifier {
    /// The id of a trace, which users see as `request_id`: 32 hexadecimal digits.
    Trace(TraceId),
    /// The id of a user, organization, workspace, content item or other object, as in log lines.
    Thing(String),
}

/// Error for a text that is not an id, as a sentence for the person who entered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoIdentifier {
    text: String,
}

/// Maximum number of characters of a wrong id that the error repeats.
const QUOTED: usize = 80;

/// Explanation of the expected format.
const EXAMPLES: &str = "The id of a request or trace has 32 hexadecimal digits, such as \
    4bf92f3577b34da6a3ce929d0e0e4736. The id of a user, organization, workspace or content item is a UUID, such \
    as 0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a.";

impl fmt::Display for NoIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: String = self.text.chars().take(QUOTED).collect();
        let more = if quoted.len() < self.text.len() { "…" } else { "" };
        write!(f, "“{quoted}{more}” is not an id.")
    }
}

impl From<NoIdentifier> for Problem {
    fn from(error: NoIdentifier) -> Self {
        Self::bad_request(error.to_string()).hint(EXAMPLES)
    }
}

impl Identifier {
    /// Reads an id. Accepts surrounding spaces and quotes, upper-case digits and a whole `traceparent`,
    /// because people paste them.
    pub(crate) fn parse(text: &str) -> Result<Self, NoIdentifier> {
        let trimmed = text.trim().trim_matches(['"', '\'', '`', '“', '”']).to_ascii_lowercase();
        if let Some(trace) = trimmed.parse().ok().or_else(|| traceparent(&trimmed)) {
            return Ok(Self::Trace(trace));
        }
        if is_uuid(&trimmed) {
            return Ok(Self::Thing(trimmed));
        }
        Err(NoIdentifier { text: text.to_owned() })
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trace(trace) => write!(f, "{trace}"),
            Self::Thing(text) => f.write_str(text),
        }
    }
}

/// Reads the id of a trace. Accepts the hyphens of a UUID, because some tools insert them.
pub(crate) fn trace(text: &str) -> Result<TraceId, NoIdentifier> {
    match Identifier::parse(text)? {
        Identifier::Trace(trace) => Ok(trace),
        Identifier::Thing(uuid) => {
            uuid.replace('-', "").parse().map_err(|_| NoIdentifier { text: text.to_owned() })
        }
    }
}

fn traceparent(text: &str) -> Option<TraceId> {
    let mut parts = text.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    (version.len() == 2 && span.len() == 16).then(|| trace.parse().ok()).flatten()
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const UUID: &str = "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a";

    #[test]
    fn ids_are_read_as_people_paste_them() {
        let traces = [
            TRACE.to_owned(),
            TRACE.to_uppercase(),
            format!("  {TRACE}\n"),
            format!("\"{TRACE}\""),
            format!("00-{TRACE}-00f067aa0ba902b7-01"),
        ];
        for text in traces {
            assert_eq!(Identifier::parse(&text).unwrap().to_string(), TRACE, "{text}");
        }
        assert_eq!(Identifier::parse(&UUID.to_uppercase()), Ok(Identifier::Thing(UUID.to_owned())));
        assert_eq!(trace("4bf92f35-77b3-4da6-a3ce-929d0e0e4736").unwrap().to_string(), TRACE);
    }

    #[test]
    fn anything_else_is_refused() {
        let zeros = "0".repeat(32);
        let refused = ["", "4bf92f", &TRACE[1..], &zeros, "0193a5b0-7c1e-7d3a-9a52", "zz", "<script>"];
        for text in refused {
            assert!(Identifier::parse(text).is_err(), "{text}");
        }
        let long = Identifier::parse(&"a".repeat(5000)).unwrap_err().to_string();
        assert!(long.len() < 500, "{long}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = Identifier::parse(&text);
            let _ = trace(&text);
        }
    }
}
