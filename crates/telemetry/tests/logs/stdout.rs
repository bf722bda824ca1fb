//! Standard output, with and without a reader.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use telemetry::log::{LogDropReason, LogFormat, LogSettings, LogSink, LogSource, LogWriter};

use crate::support::{
    Memory, file_settings, number_of, numbered_line, only_when_asked, parse_lines, read, soon, wait_until,
};

fn to_stdout(format: LogFormat) -> LogSettings {
    LogSettings { stdout: Some(format), ..only_when_asked() }
}

fn start(settings: LogSettings, source: &Memory, stdout: impl Write + Send + 'static) -> (LogWriter, Memory) {
    let stderr = Memory::default();
    let writer = LogWriter::start_with_outputs(
        settings,
        Arc::new(source.clone()),
        Some(Box::new(stdout)),
        Box::new(stderr.clone()),
    )
    .expect("the writer starts");
    (writer, stderr)
}

#[test]
fn a_line_is_written_when_the_producer_asks_for_it() {
    let (source, stdout) = (Memory::default(), Memory::default());
    let (writer, _) = start(to_stdout(LogFormat::Json), &source, stdout.clone());
    source.push(&numbered_line(1));
    writer.handle().wake();
    wait_until("the line", || stdout.text() == numbered_line(1));
    // The counter is updated after the write.
    wait_until("its count", || writer.statistics().written(LogSink::Stdout).lines == 1);
}

#[test]
fn a_line_is_written_after_the_interval_without_being_asked_for() {
    let (source, stdout) = (Memory::default(), Memory::default());
    let settings = LogSettings { interval: Duration::from_millis(5), ..to_stdout(LogFormat::Json) };
    let (_writer, _) = start(settings, &source, stdout.clone());
    for number in 0..3 {
        source.push(&numbered_line(number));
        wait_until("the line", || stdout.text().ends_with(&numbered_line(number)));
    }
}

#[test]
fn nothing_is_lost_when_the_writer_is_dropped() {
    let (source, stdout) = (Memory::default(), Memory::default());
    let (writer, _) = start(to_stdout(LogFormat::Json), &source, stdout.clone());
    source.push(&numbered_line(1));
    drop(writer);
    assert_eq!(stdout.text(), numbered_line(1));
}

#[test]
fn the_terminal_gets_readable_lines_and_the_file_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let (source, stdout) = (Memory::default(), Memory::default());
    let settings = LogSettings {
        file: Some(file_settings(directory.path(), 4096, 1)),
        ..to_stdout(LogFormat::Pretty { color: false })
    };
    let (writer, _) = start(settings, &source, stdout.clone());
    source.push(&numbered_line(7));
    assert!(writer.shutdown(soon()));
    assert!(stdout.text().starts_with("07:31:00.000 INFO  counted "), "{}", stdout.text());
    assert!(stdout.text().ends_with(" number=7\n"), "{}", stdout.text());
    assert_eq!(read(&directory.path().join("app.jsonl")), numbered_line(7));
}

#[test]
fn a_closed_output_costs_counted_lines_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = Memory::default();
    let settings =
        LogSettings { file: Some(file_settings(directory.path(), 65_536, 1)), ..to_stdout(LogFormat::Json) };
    let (reader, pipe) = io::pipe().expect("a pipe");
    let (writer, stderr) = start(settings, &source, pipe);
    drop(reader);
    for number in 0..10 {
        source.push(&numbered_line(number));
        assert!(writer.flush(soon()));
    }
    let statistics = writer.statistics();
    assert_eq!(statistics.dropped(LogSink::Stdout, LogDropReason::Closed).lines, 10);
    assert_eq!(statistics.written(LogSink::Stdout).lines, 0);
    assert!(writer.shutdown(soon()));

    let lines = parse_lines(&read(&directory.path().join("app.jsonl")));
    assert_eq!(lines.iter().filter_map(number_of).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    let notices: Vec<_> = lines.iter().filter(|line| line["event"] == "log.lines_lost").collect();
    assert_eq!(notices.len(), 1, "one notice a minute");
    assert_eq!(notices[0]["log.sink"], "stdout");
    assert_eq!(notices[0]["log.drop_reason"], "closed");
    assert_eq!(stderr.text(), "");
}

#[test]
fn an_output_that_nobody_reads_delays_neither_the_file_nor_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = Memory::default();
    let settings = LogSettings {
        file: Some(file_settings(directory.path(), 64 * 1024 * 1024, 1)),
        ..to_stdout(LogFormat::Json)
    };
    let (reader, pipe) = io::pipe().expect("a pipe");
    let (writer, _) = start(settings, &source, pipe);
    let statistics = writer.statistics();
    let mut pushed = 0;
    wait_until("the bounded buffer to be full", || {
        for _ in 0..2000 {
            source.push(&numbered_line(pushed));
            pushed += 1;
        }
        writer.wake();
        statistics.dropped(LogSink::Stdout, LogDropReason::Blocked).lines > 0
    });
    assert!(!writer.flush(Instant::now()), "the lines for standard output are still waiting");
    wait_until("the file to have everything", || {
        writer.wake();
        statistics.written(LogSink::File).lines >= pushed
    });

    // The reader resumes: lines that were not dropped arrive, whole and in order.
    let lines = std::thread::spawn(move || {
        BufReader::new(reader).lines().map(|line| line.expect("UTF-8")).collect::<Vec<_>>()
    });
    assert!(writer.shutdown(soon()));
    let arrived = parse_lines(&(lines.join().expect("the reader ends well").join("\n") + "\n"));
    let numbers: Vec<u64> = arrived.iter().filter_map(number_of).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    let lost = statistics.dropped(LogSink::Stdout, LogDropReason::Blocked).lines;
    assert_eq!(numbers.len() as u64 + lost, pushed);
    assert_eq!(statistics.written(LogSink::Stdout).lines, arrived.len() as u64);
}

#[test]
fn the_end_does_not_wait_for_an_output_that_nobody_reads() {
    let source = Memory::default();
    let (_reader, pipe) = io::pipe().expect("a pipe");
    let (writer, _) = start(to_stdout(LogFormat::Json), &source, pipe);
    for number in 0..5000 {
        source.push(&numbered_line(number));
    }
    assert!(!writer.shutdown(Instant::now() + Duration::from_millis(10)));
}

/// An output that accepts some bytes, fails once, and then works again.
struct FailsOnce {
    arrived: Memory,
    room: usize,
    has_failed: bool,
}

impl Write for FailsOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.has_failed {
            return self.arrived.write(bytes);
        }
        if self.room == 0 {
            self.has_failed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.arrived.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_a_failure_cut_off_does_not_spoil_the_next_one() {
    let (source, arrived) = (Memory::default(), Memory::default());
    let room = numbered_line(0).len() + 5;
    let output = FailsOnce { arrived: arrived.clone(), room, has_failed: false };
    let (writer, stderr) = start(to_stdout(LogFormat::Json), &source, output);
    source.push(&numbered_line(0));
    source.push(&numbered_line(1));
    source.push(&numbered_line(2));
    assert!(writer.flush(soon()));
    source.push(&numbered_line(3));
    assert!(writer.flush(soon()));
    let text = arrived.text();
    let expected = format!("{}{}\n{}", numbered_line(0), &numbered_line(1)[..5], numbered_line(3));
    assert!(text.starts_with(&expected), "{text}");
    let statistics = writer.statistics();
    assert_eq!(statistics.dropped(LogSink::Stdout, LogDropReason::StorageFull).lines, 2);
    wait_until("what is missing to be told", || {
        assert!(writer.flush(soon()));
        source.push(&numbered_line(4));
        arrived.text().contains("\"event\":\"log.recovered\"")
    });
    assert_eq!(stderr.lines()[0]["log.lost_lines"], 2);
}

/// A source that panics on its first call.
struct PanicsOnce {
    calls: AtomicU64,
    lines: Memory,
}

impl LogSource for PanicsOnce {
    fn take(&self, spare: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)) {
        assert!(self.calls.fetch_add(1, Ordering::Relaxed) > 0, "the first call");
        self.lines.take(spare, write);
    }
}

#[test]
fn a_panic_in_the_source_does_not_end_the_writing() {
    let (lines, stdout) = (Memory::default(), Memory::default());
    let source = PanicsOnce { calls: AtomicU64::new(0), lines: lines.clone() };
    let writer = LogWriter::start_with_outputs(
        to_stdout(LogFormat::Json),
        Arc::new(source),
        Some(Box::new(stdout.clone())),
        Box::new(Memory::default()),
    )
    .expect("the writer starts");
    lines.push(&numbered_line(1));
    assert!(writer.flush(soon()));
    assert!(writer.flush(soon()));
    assert_eq!(stdout.text(), numbered_line(1));
    assert_eq!(writer.statistics().writer_panics(), 1);
}

#[test]
fn flushing_after_the_end_says_that_nothing_is_written_any_more() {
    let (source, stdout) = (Memory::default(), Memory::default());
    let (writer, _) = start(to_stdout(LogFormat::Json), &source, stdout.clone());
    let handle = writer.handle();
    assert!(writer.shutdown(soon()));
    source.push(&numbered_line(1));
    assert!(!handle.flush(soon()));
    assert_eq!(stdout.text(), "");
}
