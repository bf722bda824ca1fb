//! The disk of the collector's queues and positions.

use std::process::Command;

const DIRECTORY: &str = "/var/lib/otelcol";

/// Number of attempts to set a limit. One fails if the collector writes more than the room meanwhile.
const ATTEMPTS: usize = 100;

/// Leaves `room` bytes, or as many as at the start of the test.
pub(crate) fn limit(room: Option<u64>) {
    let is_set = (0..ATTEMPTS).any(|_| {
        let size = room.map_or("50%".to_owned(), |room| (used() + room).to_string());
        let mut mount = Command::new("mount");
        mount
            .args(["-o", &format!("remount,size={size}"), DIRECTORY])
            .output()
            .expect("mount")
            .status
            .success()
    });
    assert!(is_set, "the disk of the collector cannot be limited to {room:?} more bytes");
}

/// Returns the bytes in use.
fn used() -> u64 {
    let used = Command::new("du").args(["--summarize", "--block-size=1", DIRECTORY]).output();
    let used = String::from_utf8(used.expect("du").stdout).expect("text");
    used.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
}
