//! W3C `tracestate`: data of tracing systems that is propagated beside the trace id.

use std::fmt;
use std::sync::Arc;

/// Length up to which a list must be passed on:
/// <https://www.w3.org/TR/trace-context/#tracestate-limits>. Longer ones are shortened to it.
const LONGEST: usize = 512;
/// Members above this length are the first to be removed from a list that is too long.
const LARGE_MEMBER: usize = 128;
const MOST_MEMBERS: usize = 32;

/// A well-formed list of members, as received.
///
/// Its text comes from outside, so it is kept only if the caller is trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

/// The error for a `tracestate` that cannot be parsed. It is dropped, never quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTracestate;

impl TraceState {
    /// Parses the values of all `tracestate` headers, which together are one list. Returns `None` if
    /// it has no members.
    ///
    /// A list longer than 512 characters is shortened: first members longer than 128 are removed,
    /// then members from the end. A malformed member, a second one with the same key and more than
    /// 32 members are errors.
    pub fn parse<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, MalformedTracestate> {
        let mut members: Vec<&str> = Vec::new();
        for value in values {
            let value = str::from_utf8(value).map_err(|_| MalformedTracestate)?;
            for member in value.split(',') {
                let member = member.trim_matches([' ', '\t']);
                // Empty members are allowed, and mean nothing.
                if member.is_empty() {
                    continue;
                }
                let (key, value) = member.split_once('=').ok_or(MalformedTracestate)?;
                let is_repeated = members.iter().any(|other| other.split('=').next() == Some(key));
                if !is_key(key) || !is_value(value) || is_repeated || members.len() == MOST_MEMBERS {
                    return Err(MalformedTracestate);
                }
                members.push(member);
            }
        }
        if length(&members) > LONGEST {
            members.retain(|member| member.len() <= LARGE_MEMBER);
        }
        while length(&members) > LONGEST {
            members.pop();
        }
        Ok((!members.is_empty()).then(|| Self(members.join(",").into())))
    }

    /// Returns the value of the header. It comes from outside, so do not log it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TraceState of {} bytes", self.0.len())
    }
}

/// Returns the length of a list with its commas.
fn length(members: &[&str]) -> usize {
    members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
}

fn is_key(key: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |text: &str, longest: usize| {
        let is_rest = |byte: u8| is_start(&byte) || matches!(byte, b'_' | b'-' | b'*' | b'/');
        text.len() <= longest && text.bytes().all(is_rest) && text.as_bytes().first().is_some_and(is_start)
    };
    match key.split_once('@') {
        Some((tenant, system)) => is_part(tenant, 241) && is_part(system, 14),
        None => is_part(key, 256),
    }
}

fn is_value(value: &str) -> bool {
    // A blank at the end has been trimmed.
    let is_printable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(is_printable)
}
