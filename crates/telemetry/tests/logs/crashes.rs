//! Panics, kills and limits. Each runs in its own process, which is this test program running one
//! ignored test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use telemetry::log::{
    LogDropReason, LogFormat, LogSettings, LogSink, LogWriter, PanicText, install_panic_hook,
};

use crate::support::{
    Memory, file_settings, file_writer, is_playing_a_part, log_files, number_of, numbered_line,
    only_when_asked, parse_lines, part, read, soon, wait_until,
};

const SECRET: &str = "anna@example.com";

/// Starts logging to the real standard output, with the production panic hook.
fn production_logging(lines: &Memory) -> LogWriter {
    let settings = LogSettings { stdout: Some(LogFormat::Json), ..only_when_asked() };
    let writer = LogWriter::start(settings, Arc::new(lines.clone())).expect("the writer starts");
    install_panic_hook(Arc::new(lines.clone()), Some(writer.handle()), PanicText::Hidden, SystemTime::now);
    writer
}

/// Selects the log lines from the output of the test program.
fn log_lines(stdout: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(stdout);
    let lines = text.lines().filter_map(|line| line.find("{\"timestamp\"").map(|start| &line[start..]));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn a_panic_is_a_line_without_its_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = part("crashes::part_panics", directory.path()).output().expect("the part ran");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(!stdout.contains(SECRET) && !stderr.contains(SECRET), "{stdout}{stderr}");
    let lines = log_lines(&output.stdout);
    assert_eq!(lines.len(), 2, "{stdout}");
    for line in &lines {
        assert_eq!(line["event"], "panic");
        assert_eq!(line["level"], "error");
        assert_eq!(line["error.type"], "panic");
        assert_eq!(line["code.file"], "crates/telemetry/tests/logs/crashes.rs");
        assert!(line["code.line"].is_u64());
    }
    assert_eq!(lines[0]["thread.name"], "worker-1");
    assert_eq!(lines[1].get("thread.name"), None, "a name with a value in it is left out");
}

#[test]
#[ignore = "played by a_panic_is_a_line_without_its_words"]
fn part_panics() {
    if !is_playing_a_part() {
        return;
    }
    let lines = Memory::default();
    let writer = LogWriter::start(
        LogSettings { stdout: Some(LogFormat::Json), ..only_when_asked() },
        Arc::new(lines.clone()),
    )
    .expect("the writer starts");
    let output = Arc::new(lines);
    let count = install_panic_hook(output, Some(writer.handle()), PanicText::Hidden, SystemTime::now);
    for name in ["worker-1".to_owned(), format!("worker of {SECRET}")] {
        let thread = std::thread::Builder::new().name(name).spawn(|| panic!("no such user: {SECRET}"));
        let result = thread.expect("the thread starts").join();
        assert!(result.is_err());
    }
    assert_eq!(count.get(), 2);
    assert_eq!(writer.statistics().written(LogSink::Stdout).lines, 2, "written before the panic went on");
}

#[test]
fn the_line_of_a_panic_that_aborts_the_process_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = part("crashes::part_aborts", directory.path()).output().expect("the part ran");
    assert!(!output.status.success());
    let lines = log_lines(&output.stdout);
    assert_eq!(lines[0]["event"], "counted", "what was pending before is written first");
    assert_eq!(lines[1]["event"], "panic");
    assert_eq!(lines[1]["code.file"], "crates/telemetry/tests/logs/crashes.rs");
}

#[test]
#[ignore = "played by the_line_of_a_panic_that_aborts_the_process_is_written"]
fn part_aborts() {
    if !is_playing_a_part() {
        return;
    }
    let lines = Memory::default();
    let _writer = production_logging(&lines);
    lines.push(&numbered_line(1));
    // A panic cannot unwind out of an `extern "C"` function: Rust calls the hook and aborts.
    extern "C" fn may_not_unwind() {
        panic!("no such user: {SECRET}");
    }
    may_not_unwind();
}

#[test]
fn development_sees_the_words_on_standard_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let output =
        part("crashes::part_panics_in_development", directory.path()).output().expect("the part ran");
    assert!(String::from_utf8_lossy(&output.stderr).contains("words for developers"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("words for developers"));
}

#[test]
#[ignore = "played by development_sees_the_words_on_standard_error"]
fn part_panics_in_development() {
    if !is_playing_a_part() {
        return;
    }
    install_panic_hook(Arc::new(Memory::default()), None, PanicText::OnStderr, SystemTime::now);
    let result = std::thread::spawn(|| panic!("words for developers")).join();
    assert!(result.is_err());
}

#[test]
fn a_kill_loses_no_written_line_and_the_next_process_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut flushed = Vec::new();
    for _ in 0..3 {
        let mut child = part("crashes::part_is_killed", directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("the part starts");
        let rounds_before = flushed.len();
        wait_until("some flushes", || {
            flushed = fs::read_to_string(directory.path().join("flushed"))
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect();
            flushed.len() > rounds_before + 20
        });
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    let flushed_numbers: Vec<u64> = read(&directory.path().join("flushed"))
        .lines()
        .map(|number| number.parse().expect("a number"))
        .collect();
    let mut cut_off = 0;
    let mut written = Vec::new();
    for path in log_files(directory.path()) {
        for line in read(&path).lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(line) => written.extend(number_of(&line)),
                Err(_) => cut_off += 1,
            }
        }
    }
    assert!(cut_off <= 3, "at most one line is cut off by each kill");
    for number in flushed_numbers {
        assert!(written.contains(&number), "{number} was reported as written and is lost");
    }
}

#[test]
#[ignore = "played by a_kill_loses_no_written_line_and_the_next_process_goes_on"]
fn part_is_killed() {
    if !is_playing_a_part() {
        return;
    }
    let (writer, source, _) = file_writer(file_settings(Path::new("."), 4096, 1000));
    let process = u64::from(std::process::id()) * 1_000_000;
    let mut flushed = fs::File::options().append(true).create(true).open("flushed").expect("opened");
    for number in process.. {
        source.push(&numbered_line(number));
        if number % 5 == 4 && writer.flush(soon()) {
            std::io::Write::write_all(&mut flushed, format!("{number}\n").as_bytes()).expect("written");
        }
    }
}

#[test]
fn a_file_at_its_size_limit_is_never_left_with_half_a_line_in_the_middle() {
    let directory = tempfile::tempdir().expect("a directory");
    let plain = part("crashes::part_reaches_the_file_size_limit", directory.path());
    // The signal is ignored in the process that the shell becomes, so that a write fails instead of
    // killing it.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 1; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(directory.path())
        .output()
        .expect("the part ran");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "played by a_file_at_its_size_limit_is_never_left_with_half_a_line_in_the_middle"]
fn part_reaches_the_file_size_limit() {
    if !is_playing_a_part() {
        return;
    }
    let settings = file_settings(Path::new("."), 1_000_000, 1);
    let (writer, source, stderr) = file_writer(settings.clone());
    let statistics = writer.statistics();
    for number in 0..40 {
        source.push(&numbered_line(number));
    }
    assert!(writer.flush(soon()));
    let (limit, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("a limit");
    let written = parse_lines(&read(&settings.path)).len() as u64;
    assert!(written > 0 && written < 40, "the limit of {limit} bytes was reached in the middle: {written}");
    assert_eq!(statistics.written(LogSink::File).lines, written);
    assert_eq!(statistics.dropped(LogSink::File, LogDropReason::StorageFull).lines, 40 - written);
    assert_eq!(stderr.lines()[0]["log.lost_lines"], 40 - written);

    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).expect("the limit is lifted");
    for number in 40..50 {
        source.push(&numbered_line(number));
    }
    assert!(writer.shutdown(soon()));
    let lines = parse_lines(&read(&settings.path));
    let expected: Vec<u64> = (0..written).chain(40..50).collect();
    assert_eq!(lines.iter().filter_map(number_of).collect::<Vec<_>>(), expected);
    assert_eq!(lines.last().expect("a last line")["event"], "log.recovered");
    assert_eq!(lines.last().expect("a last line")["log.lost_lines"], 40 - written);
}
