//! Restarts, crashes and damage.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn open(directory: &Path, now: i64) -> MetricStore {
    MetricStore::open(directory, Limits::default(), now).unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(directory: &Path) -> Vec<String> {
    files(directory).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_restart_loses_nothing_that_was_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut now = NOW;
    for _ in 0..6 {
        let mut store = open(directory.path(), now);
        let kept = store.series("counter").first().map(|_| numbers(&store, "counter"));
        assert_eq!(kept.unwrap_or_default(), expected, "after {} hours", (now - NOW) / HOUR);
        assert_eq!(store.usage().problems, Vec::<String>::new());
        let end = now + 100 * MINUTE;
        while now < end {
            let appended = store.append(
                &process(),
                now,
                [sample("counter", "a", now as f64), histogram_sample("histogram", histogram(now as f64))],
            );
            assert_eq!(appended.accepted, 2);
            expected.push((now, now as f64));
            store.append(&Origin::rules("group"), now, [sample("recording", "", now as f64)]);
            now += 15 * SECOND;
            flush(&mut store, now);
        }
        let histograms = histograms(&store, "histogram");
        assert_eq!(histograms.len(), expected.len());
        assert_eq!(numbers(&store, "recording"), expected);
    }
}

#[test]
fn samples_that_arrive_at_once_are_written_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), NOW);
    // Random bits, which no column can shorten.
    let number = |at: i64| f64::from_bits((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
    for at in 0..400_000 {
        store.append(&process(), NOW + at, [sample("gauge", "a", number(at))]);
    }
    let memory = store.files.as_ref().unwrap().memory();
    assert!(memory < 4 << 20, "{memory}");
    assert!(store.usage().disk > 1 << 20, "{}", store.usage().disk);
    flush(&mut store, NOW + HOUR);
    let expected = numbers(&store, "gauge");
    drop(store);
    let store = open(directory.path(), NOW + HOUR);
    assert_eq!(numbers(&store, "gauge"), expected);
    assert_eq!(store.usage().problems, Vec::<String>::new());
}

#[test]
fn rolled_up_samples_survive_restarts_and_old_files_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), NOW);
    let mut now = NOW;
    let mut before = Vec::new();
    for day in 0..40 {
        for step in 0..24 * 12 {
            let samples = [sample("counter", "a", (now - NOW) as f64)];
            store.append(&process(), now, samples);
            store.append(&Origin::rules("group"), now, [sample("recording", "", now as f64)]);
            now += 5 * MINUTE;
            if step % 6 == 5 {
                flush(&mut store, now);
            }
        }
        if day % 10 == 7 {
            before = numbers(&store, "recording");
            let counter = numbers(&store, "counter");
            drop(store);
            store = open(directory.path(), now);
            assert_eq!(numbers(&store, "counter"), counter, "{day}");
            assert_eq!(numbers(&store, "recording"), before, "{day}");
            assert_eq!(store.usage().problems, Vec::<String>::new());
        }
    }
    assert!(before.len() >= 30 * 24 * 12);
    let names = names(directory.path());
    assert!(names.len() < 60, "{names:?}");
    assert!(store.usage().disk < 4 << 20, "{}", store.usage().disk);
}

#[test]
fn an_incomplete_frame_at_the_end_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), NOW);
    fill(&mut store, NOW, NOW + MINUTE);
    flush(&mut store, NOW + MINUTE);
    fill(&mut store, NOW + MINUTE, NOW + 2 * MINUTE);
    flush(&mut store, NOW + 2 * MINUTE);
    drop(store);
    let path = files(directory.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).rev() {
        fs::write(&path, &whole[..length]).unwrap();
        let store = open(directory.path(), NOW + 3 * MINUTE);
        assert_eq!(store.usage().problems, Vec::<String>::new(), "{length}");
        let kept = store.series("counter").first().map_or(0, |_| numbers(&store, "counter").len());
        assert!([0, 4].contains(&kept), "{length}: {kept}");
    }
}

#[test]
fn any_damaged_byte_costs_little_and_never_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), NOW);
    // A file of each kind.
    fill(&mut store, NOW, NOW + 3 * HOUR);
    for minute in 0..130 {
        store.append(&Origin::rules("group"), NOW + minute * MINUTE, [sample("recording", "", 1.0)]);
    }
    flush(&mut store, NOW + 3 * HOUR);
    drop(store);
    let originals: Vec<_> = files(directory.path()).into_iter().map(|p| (fs::read(&p).unwrap(), p)).collect();
    assert_eq!(originals.len(), 3, "{:?}", names(directory.path()));
    for (original, path) in &originals {
        // Every byte of a small file, some of a larger one.
        for position in (0..original.len()).step_by(1 + original.len() / 150) {
            for (content, path) in &originals {
                fs::write(path, content).unwrap();
            }
            let mut damaged = original.clone();
            damaged[position] ^= 0x41;
            fs::write(path, &damaged).unwrap();
            let mut store = open(directory.path(), NOW + 3 * HOUR);
            let torn = store.usage().problems.is_empty();
            let aside = names(directory.path()).into_iter().filter(|name| name.ends_with(".damaged")).count();
            assert!(torn || aside > 0, "{position}: {:?}", store.usage().problems);
            fill(&mut store, NOW + 4 * HOUR, NOW + 4 * HOUR + MINUTE);
            flush(&mut store, NOW + 4 * HOUR + MINUTE);
            drop(store);
            let store = open(directory.path(), NOW + 5 * HOUR);
            assert_eq!(store.usage().problems, Vec::<String>::new(), "{position}: it was set aside");
            assert!(numbers(&store, "counter").len() >= 4);
            drop(store);
            for path in files(directory.path()) {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn foreign_files_are_left_alone_and_foreign_content_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    fs::write(directory.path().join("recent-0000000001.metrics"), "METRICS2 of a later version").unwrap();
    let mut store = open(directory.path(), NOW);
    assert_eq!(
        store.usage().problems,
        ["recent-0000000001.metrics is damaged. What could be read of it is used; the file is kept as \
          recent-0000000001.metrics.damaged."]
    );
    fill(&mut store, NOW, NOW + 3 * HOUR);
    flush(&mut store, NOW + 3 * HOUR);
    assert_eq!(store.usage().problems.len(), 1);
    assert_eq!(
        names(directory.path()),
        [
            "journal-0000000001.metrics",
            "notes.txt",
            "recent-0000000001.metrics.damaged",
            "recent-0000000002.metrics"
        ]
    );
}

#[test]
fn a_directory_that_cannot_be_written_does_not_stop_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("metrics");
    let mut store = open(&inside, NOW);
    fs::remove_dir(&inside).unwrap();
    fill(&mut store, NOW, NOW + MINUTE);
    flush(&mut store, NOW + MINUTE);
    assert!(store.usage().problems[0].starts_with("Metrics could not be written to disk: "));
    fs::create_dir(&inside).unwrap();
    fill(&mut store, NOW + MINUTE, NOW + 2 * MINUTE);
    flush(&mut store, NOW + 2 * MINUTE);
    drop(store);
    assert_eq!(numbers(&open(&inside, NOW + HOUR), "counter").len(), 8, "nothing is lost");
}

#[test]
fn a_name_that_is_taken_is_not_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path(), NOW);
    fs::write(directory.path().join("journal-0000000001.metrics"), "").unwrap();
    fill(&mut store, NOW, NOW + MINUTE);
    flush(&mut store, NOW + MINUTE);
    assert_eq!(store.usage().problems.len(), 1);
    flush(&mut store, NOW + MINUTE);
    drop(store);
    assert_eq!(numbers(&open(directory.path(), NOW + HOUR), "counter").len(), 4);
}

#[test]
fn the_directory_stays_within_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { disk: 200_000, ..Limits::default() };
    let mut store = MetricStore::open(directory.path(), limits, NOW).unwrap();
    for hour in 0..240 {
        let from = NOW + hour * HOUR;
        for at in (from..from + HOUR).step_by(MINUTE as usize) {
            let noise = |series: usize| ((at / 1000) as f64 * (series + 1) as f64).sin();
            let samples = (0..20).map(|series| sample("noise", &series.to_string(), noise(series)));
            store.append(&process(), at, samples);
        }
        store.maintain(from + HOUR);
        flush(&mut store, from + HOUR);
    }
    // The current file is not removed.
    assert!(store.usage().disk < limits.disk + 400_000, "{}", store.usage().disk);
}
