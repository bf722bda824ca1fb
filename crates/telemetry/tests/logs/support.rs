//! Shared helpers of the log tests.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use telemetry::log::{Level, LogFileSettings, LogOutput, LogSettings, LogSource, LogWriter};

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Bytes in memory that several threads append to. It serves as a source of lines, an output of
/// lines, or a stream.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, text: &str) {
        self.lock().extend_from_slice(text.as_bytes());
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lock().clone()).expect("log lines are UTF-8")
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        parse_lines(&self.text())
    }
}

impl LogSource for Memory {
    fn take(&self, _: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut lines = std::mem::take(&mut *self.lock());
        if !lines.is_empty() {
            write(&mut lines);
        }
    }
}

impl LogOutput for Memory {
    fn line(&self, _level: Level, line: &[u8]) {
        self.lock().extend_from_slice(line);
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Parses every line as JSON. Fails on other lines, and on an unfinished last one.
#[track_caller]
pub(crate) fn parse_lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not finished");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

pub(crate) fn numbered_line(number: u64) -> String {
    format!(
        "{{\"timestamp\":\"2026-11-23T07:31:00.{number:06}Z\",\"level\":\"info\",\"event\":\"counted\",\
         \"number\":{number}}}\n"
    )
}

pub(crate) fn number_of(line: &Value) -> Option<u64> {
    line["number"].as_u64()
}

/// Settings that write only on request, so that no test depends on time.
pub(crate) fn only_when_asked() -> LogSettings {
    LogSettings { stdout: None, file: None, interval: Duration::from_secs(3600) }
}

pub(crate) fn file_settings(directory: &Path, max_bytes: u64, keep: usize) -> LogFileSettings {
    LogFileSettings { path: directory.join("app.jsonl"), max_bytes, keep }
}

/// Starts a writer to a file only. Returns it with its source and with its output on standard
/// error.
pub(crate) fn file_writer(settings: LogFileSettings) -> (LogWriter, Memory, Memory) {
    let (source, stderr) = (Memory::default(), Memory::default());
    let settings = LogSettings { file: Some(settings), ..only_when_asked() };
    let writer =
        LogWriter::start_with_outputs(settings, Arc::new(source.clone()), None, Box::new(stderr.clone()))
            .expect("the writer starts");
    (writer, source, stderr)
}

/// Returns the log files of a directory, in the order in which they were written.
pub(crate) fn log_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the directory exists")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    // "app.000001.jsonl" sorts before "app.jsonl", and was also written first.
    files.sort();
    files
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A marker file by which an ignored test recognises that another test started its process.
const PART: &str = "part-in-a-process-of-its-own";

/// Returns the command that runs one ignored test in its own process, in `directory`.
pub(crate) fn part(name: &str, directory: &Path) -> Command {
    std::fs::write(directory.join(PART), name).expect("the directory can be written");
    let mut command = Command::new(std::env::current_exe().expect("the test's own path"));
    command.args(["--exact", name, "--ignored", "--nocapture"]).current_dir(directory);
    command
}

/// Returns whether another test started this process. It is false if somebody runs all ignored
/// tests.
pub(crate) fn is_playing_a_part() -> bool {
    Path::new(PART).exists()
}
