//! Files that grow, rotate, shrink and appear while they are followed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::store::lines::LineRefusal;

struct Logs {
    directory: tempfile::TempDir,
    follower: Follower,
}

impl Logs {
    fn new(patterns: &[&str], backlog: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let follower = follower(directory.path(), patterns, backlog);
        Self { directory, follower }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn restart(&mut self, patterns: &[&str], backlog: u64) {
        self.follower = follower(self.directory.path(), patterns, backlog);
    }

    /// Returns the events that a poll delivers, and the refused lines.
    fn poll(&mut self) -> (String, Vec<(LineRefusal, u64)>) {
        let (mut events, mut refused) = (Vec::new(), Vec::new());
        self.follower.poll(&mut |batch: Batch| {
            events.extend(batch.lines.iter().map(|line| line.event.to_string()));
            refused.extend(batch.refused);
        });
        (events.join(" "), refused)
    }

    fn events(&mut self) -> String {
        let (events, refused) = self.poll();
        assert_eq!(refused, []);
        events
    }
}

fn follower(directory: &Path, patterns: &[&str], backlog: u64) -> Follower {
    let parse = |pattern: &&str| directory.join(pattern).to_str().unwrap().parse().unwrap();
    Follower::new(patterns.iter().map(parse).collect(), backlog)
}

fn line(second: u32, event: &str) -> String {
    format!(
        "{{\"timestamp\":\"2026-11-30T15:{:02}:{:02}.000000Z\",\"level\":\"info\",\"event\":\"{event}\"}}\n",
        second / 60,
        second % 60
    )
}

#[test]
fn lines_are_read_as_they_are_appended() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    assert_eq!(logs.events(), "");
    logs.append("api.jsonl", &line(1, "a"));
    assert_eq!(logs.events(), "a");
    logs.append("api.jsonl", &(line(2, "b") + &line(3, "c")));
    logs.append("other.jsonl", &line(3, "other"));
    assert_eq!((logs.events(), logs.events()), ("b c".to_owned(), String::new()));
}

#[test]
fn an_unfinished_line_waits_for_its_end() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    let text = line(1, "a");
    let (start, rest) = text.split_at(20);
    logs.append("api.jsonl", start);
    assert_eq!(logs.events(), "");
    logs.append("api.jsonl", rest);
    assert_eq!(logs.events(), "a");
}

#[test]
fn an_unfinished_line_that_the_writer_removes_is_forgotten() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    logs.append("api.jsonl", &(line(1, "a") + "{\"timestamp\":"));
    assert_eq!(logs.events(), "a");
    let file = OpenOptions::new().write(true).open(logs.path("api.jsonl")).unwrap();
    file.set_len(line(1, "a").len() as u64).unwrap();
    assert_eq!(logs.events(), "");
    logs.append("api.jsonl", &line(2, "b"));
    assert_eq!(logs.events(), "b");
}

#[test]
fn no_line_is_lost_or_doubled_by_a_rotation() {
    for pattern in ["api.jsonl", "api*.jsonl"] {
        let mut logs = Logs::new(&[pattern], 1 << 20);
        logs.append("api.jsonl", &line(1, "a"));
        assert_eq!(logs.events(), "a");
        logs.append("api.jsonl", &line(2, "b"));
        logs.rename("api.jsonl", "api.000001.jsonl");
        logs.append("api.jsonl", &line(3, "c"));
        logs.rename("api.jsonl", "api.000002.jsonl");
        logs.append("api.jsonl", &line(4, "d"));
        assert_eq!(logs.events(), "b c d", "{pattern}");
        fs::remove_file(logs.path("api.000001.jsonl")).unwrap();
        logs.append("api.jsonl", &line(5, "e"));
        assert_eq!(logs.events(), "e", "{pattern}");
    }
}

#[test]
fn a_file_moved_elsewhere_is_read_until_its_writer_reopens() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    logs.append("api.jsonl", &line(1, "a"));
    assert_eq!(logs.events(), "a");
    logs.rename("api.jsonl", "api.jsonl.1");
    assert_eq!(logs.events(), "");
    logs.append("api.jsonl.1", &line(2, "b"));
    logs.append("api.jsonl", &line(3, "c"));
    assert_eq!(logs.events(), "b c");
}

#[test]
fn moved_files_are_closed_when_they_are_quiet() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    logs.append("api.jsonl", &line(1, "a"));
    assert_eq!(logs.events(), "a");
    fs::remove_file(logs.path("api.jsonl")).unwrap();
    for _ in 0..60 {
        assert_eq!(logs.events(), "");
    }
    assert_eq!(logs.follower.status().files, []);
    // The system may give the new file the inode of the old one.
    logs.append("api.jsonl", &line(2, "b"));
    assert_eq!(logs.events(), "b");
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    logs.append("api.jsonl", &(line(1, "a") + &line(2, "b")));
    assert_eq!(logs.events(), "a b");
    fs::write(logs.path("api.jsonl"), line(3, "c")).unwrap();
    assert_eq!(logs.events(), "c");
    fs::write(logs.path("api.jsonl"), "").unwrap();
    assert_eq!(logs.events(), "");
    logs.append("api.jsonl", &line(4, "d"));
    assert_eq!(logs.events(), "d");
}

#[test]
fn lines_of_several_files_are_delivered_in_the_order_of_time() {
    let mut logs = Logs::new(&["api*.jsonl", "worker*.jsonl"], 1 << 30);
    let mut expected = Vec::new();
    for second in 0..3000 {
        let name = ["api.000001.jsonl", "api.jsonl"][usize::from(second >= 2000)];
        let name = if second % 3 == 0 { "worker.jsonl" } else { name };
        logs.append(name, &line(second, &format!("e{second}")));
        expected.push(format!("e{second}"));
    }
    assert_eq!(logs.events(), expected.join(" "));
    assert!(logs.follower.status().is_caught_up);
}

#[test]
fn a_clock_that_was_set_back_stops_nothing() {
    let mut logs = Logs::new(&["*.jsonl"], 1 << 30);
    for second in (0..2000).rev() {
        logs.append("a.jsonl", &line(second, "a"));
        logs.append("b.jsonl", &line(2000 - second, "b"));
    }
    assert_eq!(logs.events().split(' ').count(), 4000);
}

#[test]
fn a_restart_reads_the_newest_lines_of_all_files() {
    let patterns = ["api*.jsonl", "worker*.jsonl"];
    let mut logs = Logs::new(&patterns, 1 << 30);
    let size = line(0, "e0000").len() as u64;
    for second in 0..3000_u32 {
        let name = ["api.000001.jsonl", "api.jsonl", "worker.jsonl"][second as usize / 1500 % 2];
        logs.append(
            if second % 3 == 0 { "worker.jsonl" } else { name },
            &line(second, &format!("e{second:04}")),
        );
    }
    assert_eq!(logs.events().split(' ').count(), 3000);
    logs.restart(&patterns, 600 * size);
    let events = logs.events();
    let events: Vec<&str> = events.split(' ').collect();
    assert!((500..=600).contains(&events.len()), "{}", events.len());
    let missing = (0..3000).rev().map(|second| format!("e{second:04}")).take(450);
    for event in missing {
        assert!(events.contains(&event.as_str()), "{event}");
    }
    logs.append("api.jsonl", &line(3002, "new"));
    logs.append("api.000001.jsonl", &line(3001, "old"));
    assert_eq!(logs.events(), "old new");
}

#[test]
fn bad_lines_are_counted() {
    let mut logs = Logs::new(&["api.jsonl"], 1 << 20);
    let long = "x".repeat(300 << 10);
    logs.append("api.jsonl", &format!("text\n{}\n{long}\n\n{}{{}}\n", line(1, "a").trim(), line(2, "b")));
    let (events, refused) = logs.poll();
    assert_eq!(events, "a b");
    assert_eq!(
        refused,
        [(LineRefusal::NotJson, 1), (LineRefusal::NoTimestamp, 1), (LineRefusal::TooLong, 1)]
    );
    logs.append("api.jsonl", &line(3, "c"));
    assert_eq!(logs.events(), "c");
}

#[test]
fn a_missing_directory_is_reported_and_found_later() {
    let mut logs = Logs::new(&["log/api.jsonl"], 1 << 20);
    assert_eq!(logs.events(), "");
    assert_eq!(logs.follower.status().problems[0].0, logs.path("log"));
    fs::create_dir(logs.path("log")).unwrap();
    logs.append("log/api.jsonl", &line(1, "a"));
    assert_eq!(logs.events(), "a");
    assert_eq!(logs.follower.status().problems, []);
}

#[tokio::test]
async fn the_task_delivers_at_each_tick_until_nobody_watches() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("api.jsonl"), line(1, "a")).unwrap();
    let follower = follower(directory.path(), &["api.jsonl"], 1 << 20);
    let (sender, mut batches) = tokio::sync::mpsc::unbounded_channel();
    let (status, mut watched) = tokio::sync::watch::channel(FollowStatus::default());
    let ticks = tokio::time::interval(std::time::Duration::from_millis(1));
    let deliver = move |batch: Batch| sender.send(batch).unwrap();
    let task = tokio::spawn(run(follower, ticks, deliver, status));
    assert_eq!(&*batches.recv().await.unwrap().lines[0].event, "a");
    watched.changed().await.unwrap();
    assert!(watched.borrow().is_caught_up);
    let mut file = OpenOptions::new().append(true).open(directory.path().join("api.jsonl")).unwrap();
    file.write_all(line(2, "b").as_bytes()).unwrap();
    assert_eq!(&*batches.recv().await.unwrap().lines[0].event, "b");
    drop(watched);
    task.await.unwrap().unwrap();
}
