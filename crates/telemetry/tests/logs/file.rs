//! Rotation of the log file.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use telemetry::log::{LogDropReason, LogFileSettings, LogSettings, LogSink, LogWriter};

use crate::support::{
    Memory, file_settings, file_writer, log_files, number_of, numbered_line, only_when_asked, parse_lines,
    read, soon, wait_until,
};

/// Reads log files like a collector: by pattern, with a saved position per file that survives
/// renaming.
#[derive(Default)]
struct Tail {
    positions: HashMap<u64, u64>,
    numbers: Vec<u64>,
}

impl Tail {
    fn read(&mut self, directory: &Path) {
        for path in log_files(directory) {
            // The file was renamed between listing and opening; the next poll finds it under its
            // new name.
            let Ok(mut file) = fs::File::open(&path) else { continue };
            let inode = file.metadata().expect("metadata").ino();
            let position = self.positions.entry(inode).or_default();
            file.seek(SeekFrom::Start(*position)).expect("seek");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("log lines are UTF-8");
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            *position += whole as u64;
            self.numbers.extend(parse_lines(&text[..whole]).iter().filter_map(number_of));
        }
    }
}

#[test]
fn a_tailing_reader_gets_every_line_once_while_files_are_rotated() {
    let directory = tempfile::tempdir().expect("a directory");
    let (writer, source, _) = file_writer(file_settings(directory.path(), 4096, 1000));
    let is_written = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (directory, is_written) = (directory.path().to_path_buf(), Arc::clone(&is_written));
        move || {
            let mut tail = Tail::default();
            loop {
                let is_last = is_written.load(Ordering::Acquire);
                tail.read(&directory);
                if is_last {
                    return tail.numbers;
                }
            }
        }
    });
    const LINES: u64 = 5000;
    for number in 0..LINES {
        source.push(&numbered_line(number));
        if number % 7 == 0 {
            assert!(writer.flush(soon()));
        }
    }
    let statistics = writer.statistics();
    assert!(writer.shutdown(soon()));
    is_written.store(true, Ordering::Release);

    let mut numbers = reader.join().expect("the reader ends well");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..LINES).collect::<Vec<_>>());
    assert!(statistics.rotations() > 50, "{}", statistics.rotations());
    assert_eq!(statistics.written(LogSink::File).lines, LINES);
    for path in log_files(directory.path()) {
        assert!(fs::metadata(&path).expect("metadata").len() <= 4096, "{}", path.display());
    }
}

#[test]
fn a_reader_that_was_away_finds_what_it_missed_under_the_new_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let (writer, source, _) = file_writer(file_settings(directory.path(), 1024, 1000));
    let mut tail = Tail::default();
    for number in 0..500 {
        source.push(&numbered_line(number));
        assert!(writer.flush(soon()));
        if number == 3 {
            tail.read(directory.path());
        }
    }
    tail.read(directory.path());
    tail.numbers.sort_unstable();
    assert_eq!(tail.numbers, (0..500).collect::<Vec<_>>());
}

#[test]
fn only_the_newest_files_are_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("app.notes.jsonl"), "not ours").expect("written");
    fs::write(directory.path().join("application.000001.jsonl"), "not ours").expect("written");
    let (writer, source, _) = file_writer(file_settings(directory.path(), 1024, 3));
    for number in 0..200 {
        source.push(&numbered_line(number));
        assert!(writer.flush(soon()));
    }
    let ours: Vec<_> =
        log_files(directory.path()).into_iter().filter(|path| !read(path).contains("not ours")).collect();
    assert_eq!(ours.len(), 4, "{ours:?}");
    let numbers: Vec<u64> =
        ours.iter().flat_map(|path| parse_lines(&read(path))).filter_map(|line| number_of(&line)).collect();
    assert_eq!(numbers.last(), Some(&199));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap: {numbers:?}");
    assert_eq!(log_files(directory.path()).len(), 6, "files of others are left alone");
}

#[test]
fn a_new_process_goes_on_where_the_old_one_ended() {
    let directory = tempfile::tempdir().expect("a directory");
    for run in 0..3 {
        let (writer, source, _) = file_writer(file_settings(directory.path(), 1024, 100));
        for number in run * 20..(run + 1) * 20 {
            source.push(&numbered_line(number));
        }
        assert!(writer.shutdown(soon()));
    }
    let numbers: Vec<u64> = log_files(directory.path())
        .iter()
        .flat_map(|path| parse_lines(&read(path)))
        .filter_map(|line| number_of(&line))
        .collect();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
}

#[test]
fn a_line_that_a_crash_cut_off_does_not_spoil_the_next_one() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("app.jsonl"), "{\"event\":\"cut o").expect("written");
    let (writer, source, _) = file_writer(file_settings(directory.path(), 4096, 1));
    source.push(&numbered_line(1));
    assert!(writer.shutdown(soon()));
    assert_eq!(
        read(&directory.path().join("app.jsonl")),
        format!("{{\"event\":\"cut o\n{}", numbered_line(1))
    );
}

#[test]
fn directories_are_created_and_neither_they_nor_the_file_are_open_to_everybody() {
    let directory = tempfile::tempdir().expect("a directory");
    let inner = directory.path().join("var/log");
    let (writer, source, _) = file_writer(file_settings(&inner, 1024, 1));
    for number in 0..20 {
        source.push(&numbered_line(number));
    }
    assert!(writer.shutdown(soon()));
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&inner) & 0o007, 0);
    for path in log_files(&inner) {
        assert_eq!(mode(&path), 0o640, "{}", path.display());
    }
}

#[test]
fn a_file_that_somebody_else_moved_is_begun_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.jsonl");
    let (writer, source, _) = file_writer(file_settings(directory.path(), 4096, 1));
    source.push(&numbered_line(1));
    assert!(writer.flush(soon()));
    fs::rename(&path, directory.path().join("moved")).expect("renamed");
    wait_until("the file to be begun anew", || {
        source.push(&numbered_line(2));
        assert!(writer.flush(soon()));
        path.exists()
    });
    let moved = parse_lines(&read(&directory.path().join("moved")));
    let anew = parse_lines(&read(&path));
    assert_eq!((moved.len() + anew.len()) as u64, writer.statistics().written(LogSink::File).lines);
}

#[test]
fn a_full_disk_costs_counted_lines_and_heals() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = file_settings(directory.path(), 4096, 1);
    symlink("/dev/full", &settings.path).expect("a link");
    let (writer, source, stderr) = file_writer(settings.clone());
    let statistics = writer.statistics();
    for number in 0..10 {
        source.push(&numbered_line(number));
        assert!(writer.flush(soon()));
    }
    let lost = statistics.dropped(LogSink::File, LogDropReason::StorageFull);
    assert_eq!(lost.lines, 10);
    assert_eq!(lost.bytes, (0..10).map(|number| numbered_line(number).len() as u64).sum::<u64>());
    assert_eq!(statistics.written(LogSink::File).lines, 0);
    let notices = stderr.lines();
    assert_eq!(notices.len(), 1, "one notice a minute: {notices:?}");
    assert_eq!(notices[0]["event"], "log.lines_lost");
    assert_eq!(notices[0]["level"], "warn");
    assert_eq!(notices[0]["log.sink"], "file");
    assert_eq!(notices[0]["log.drop_reason"], "storage_full");
    assert_eq!(notices[0]["log.lost_lines"], 1);

    fs::remove_file(&settings.path).expect("removed");
    let mut pushed = 10;
    wait_until("lines to be written again", || {
        source.push(&numbered_line(pushed));
        pushed += 1;
        assert!(writer.flush(soon()));
        statistics.written(LogSink::File).lines > 0
    });
    assert!(writer.flush(soon()));
    let lines = parse_lines(&read(&settings.path));
    let recovered =
        lines.iter().find(|line| line["event"] == "log.recovered").expect("a line that says what is missing");
    let lost = statistics.dropped(LogSink::File, LogDropReason::StorageFull).lines;
    assert_eq!(recovered["log.lost_lines"], lost);
    assert_eq!(lost + lines.iter().filter_map(number_of).count() as u64, pushed);
}

#[test]
fn losses_of_the_file_are_told_on_standard_output_when_there_is_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = file_settings(directory.path(), 4096, 1);
    symlink("/dev/full", &settings.path).expect("a link");
    let (source, stdout, stderr) = (Memory::default(), Memory::default(), Memory::default());
    let writer = LogWriter::start_with_outputs(
        LogSettings {
            stdout: Some(telemetry::log::LogFormat::Json),
            file: Some(settings),
            ..only_when_asked()
        },
        Arc::new(source.clone()),
        Some(Box::new(stdout.clone())),
        Box::new(stderr.clone()),
    )
    .expect("the writer starts");
    source.push(&numbered_line(0));
    assert!(writer.flush(soon()));
    let events: Vec<_> = stdout.lines().iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["counted", "log.lines_lost"]);
    assert_eq!(stderr.text(), "");
}

#[test]
fn a_file_that_somebody_deleted_is_begun_anew_when_it_is_due() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = file_settings(directory.path(), 1024, 1);
    let (writer, source, _) = file_writer(settings.clone());
    source.push(&numbered_line(0));
    assert!(writer.flush(soon()));
    fs::remove_file(&settings.path).expect("removed");
    for number in 1..20 {
        source.push(&numbered_line(number));
    }
    assert!(writer.flush(soon()));
    let lines = parse_lines(&read(&settings.path));
    assert_eq!(lines.iter().filter_map(number_of).next_back(), Some(19));
}

#[test]
fn a_file_that_cannot_be_set_aside_goes_on_growing() {
    let directory = tempfile::tempdir().expect("a directory");
    // The name has the maximum length, so a numbered name is impossible.
    let path = directory.path().join(format!("{}.jsonl", "a".repeat(249)));
    let (writer, source, _) = file_writer(LogFileSettings { path: path.clone(), max_bytes: 1024, keep: 1 });
    for number in 0..100 {
        source.push(&numbered_line(number));
        assert!(writer.flush(soon()));
    }
    let lines = parse_lines(&read(&path));
    assert_eq!(lines.iter().filter_map(number_of).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(writer.statistics().rotations(), 0);
    assert!(writer.statistics().rotation_failures() > 0);
}

#[test]
fn mistakes_in_the_settings_are_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.jsonl");
    let good = LogFileSettings { path: path.clone(), max_bytes: 4096, keep: 1 };
    let _running = file_writer(good.clone());
    fs::write(directory.path().join("occupied"), "").expect("written");
    let inside_a_file = directory.path().join("occupied/app.jsonl");
    for (settings, expected) in [
        (
            LogFileSettings { max_bytes: 1000, ..good.clone() },
            "the log file's size limit is 1000 bytes: it must be at least 1024".to_owned(),
        ),
        (
            LogFileSettings { keep: 0, ..good.clone() },
            "the number of log files to keep is 0: keep at least 1, so that a collector can finish reading it"
            .to_owned(),
        ),
        (
            good.clone(),
            format!(
                "the log file {} is being written by another process: give each process a file of its own",
                path.display()
            ),
        ),
        (
            LogFileSettings { path: "/".into(), ..good.clone() },
            "the log file / is not a file name: name a file such as /var/log/socialize/serve.jsonl"
                .to_owned(),
        ),
        (
            LogFileSettings { path: directory.path().to_path_buf(), ..good.clone() },
            format!(
                "cannot open the log file {} for appending: Is a directory (os error 21)",
                directory.path().display()
            ),
        ),
        (
            LogFileSettings { path: inside_a_file, ..good.clone() },
            format!(
                "cannot create the directory {}/occupied of the log file: File exists (os error 17)",
                directory.path().display()
            ),
        ),
    ] {
        let settings = LogSettings { file: Some(settings), ..only_when_asked() };
        let started = LogWriter::start_with_outputs(
            settings,
            Arc::new(Memory::default()),
            None,
            Box::new(Memory::default()),
        );
        let message = started.err().map(|error| error.to_string());
        assert_eq!(message, Some(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_the_sizes_every_line_is_there_once_and_in_order(
        lengths in prop::collection::vec(prop::collection::vec(0_usize..3000, 0..6), 1..12),
        max_bytes in 1024_u64..5000,
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let (writer, source, _) = file_writer(file_settings(directory.path(), max_bytes, 1000));
        let mut expected = String::new();
        for batch in &lengths {
            for length in batch {
                let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(*length));
                source.push(&line);
                expected.push_str(&line);
            }
            prop_assert!(writer.flush(soon()));
        }
        prop_assert!(writer.shutdown(soon()));
        let mut found = String::new();
        for path in log_files(directory.path()) {
            let text = read(&path);
            prop_assert!(text.len() as u64 <= max_bytes || text.lines().count() == 1);
            found.push_str(&text);
        }
        prop_assert_eq!(found, expected);
    }
}
