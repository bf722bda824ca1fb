//! The disk of the collector's queues and positions.

use std::process::Command;

const DIRECTORY: &str = "/var/lib/otelcol";

/// Leaves `room` bytes, or as many as at the start of the test.
pub(crate) fn limit(room: Option<u64>) {
    let used = Command::new("du").args(["--summarize", "--block-size=1", DIRECTORY]).output();
    let used = String::from_utf8(used.expect("du").stdout).expect("text");
    let used: u64 = used.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number");
    let size = room.map_or("50%".to_owned(), |room| (used + room).to_string());
    let options = format!("remount,size={size}");
    let status = Command::new("mount").args(["-o", &options, DIRECTORY]).status();
    assert!(status.expect("mount").success(), "the disk of the collector cannot be mounted so: {options}");
}

/// Returns the size of the files of all queues, in bytes.
pub(crate) fn size_of_queues() -> u64 {
    let files = std::fs::read_dir(format!("{DIRECTORY}/queues")).expect("the directory of the queues");
    files.map(|file| file.and_then(|file| file.metadata()).map_or(0, |metadata| metadata.len())).sum()
}
