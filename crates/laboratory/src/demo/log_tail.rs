//! The newest relevant log lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::{Map, Value};
use telemetry::log::PrettyPrinter;

/// Number of bytes read from the end of the file.
const LOOK_AT_BYTES: u64 = 64 << 10;
/// Maximum number of lines.
const LINES: usize = 60;

/// Returns lines about user actions and faults, oldest first, without successful requests. Empty if the file
/// cannot be read.
pub(super) fn newest_lines(path: &Path) -> Vec<String> {
    let bytes = read_end(path).unwrap_or_default();
    let mut wanted: Vec<String> = bytes.split(|byte| *byte == b'\n').filter_map(readable).collect();
    wanted.split_off(wanted.len().saturating_sub(LINES))
}

fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOK_AT_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOOK_AT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the formatted line if it is relevant. A line that is cut off at its beginning is not valid JSON.
fn readable(line: &[u8]) -> Option<String> {
    let mut fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_wanted =
        text("event").starts_with("socialize.") || matches!(text("level"), "warn" | "error" | "fatal");
    if !is_wanted {
        return None;
    }
    // A trace cannot be followed on this screen, and space is short.
    fields.remove("trace_id");
    fields.remove("span_id");
    let mut out = Vec::new();
    PrettyPrinter::new(false).render(&serde_json::to_vec(&fields).ok()?, &mut out);
    Some(String::from_utf8_lossy(&out).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_failures_are_shown_and_requests_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log.jsonl");
        let line = |level: &str, event: &str| {
            format!(
                "{{\"timestamp\":\"2026-11-23T09:00:00.000000Z\",\"level\":\"{level}\",\"event\":\"{event}\"}}\n"
            )
        };
        let mut text = "cut off\":1}\n".to_owned();
        text += &line("info", "http.server.request");
        text += &line("info", "socialize.organizations.created");
        text += &line("error", "http.server.request");
        std::fs::write(&path, text).expect("a file");
        let lines = newest_lines(&path);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("socialize.organizations.created"));
        assert!(lines[1].contains("ERROR"));
        assert!(newest_lines(&directory.path().join("missing")).is_empty());
    }
}
