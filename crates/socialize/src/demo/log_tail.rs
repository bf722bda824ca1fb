//! The newest lines of the log that people care about.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use telemetry::log::PrettyPrinter;

/// How much of the end of the file is looked at.
const LOOK_AT_BYTES: u64 = 64 << 10;
/// The most lines that are of use.
const LINES: usize = 60;

#[derive(Deserialize)]
struct Line<'a> {
    level: &'a str,
    event: &'a str,
}

/// What users did and what went wrong, oldest first; requests that are merely answered would hide it. A file that cannot be
/// read has nothing to show.
pub(super) fn newest_lines(path: &Path) -> Vec<String> {
    let bytes = read_end(path).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n');
    let mut wanted: Vec<&[u8]> = lines.filter(|line| is_wanted(line)).collect();
    let first = wanted.len().saturating_sub(LINES);
    let mut text = Vec::new();
    PrettyPrinter::new(false).render(&wanted.split_off(first).join(&b'\n'), &mut text);
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOK_AT_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOOK_AT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A line that is cut off at the beginning is no JSON, and not wanted.
fn is_wanted(line: &[u8]) -> bool {
    serde_json::from_slice::<Line<'_>>(line).is_ok_and(|line| {
        line.event.starts_with("socialize.") || matches!(line.level, "warn" | "error" | "fatal")
    })
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
