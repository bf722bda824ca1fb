//! Free space of the disks that this process writes to. In the default set-up Postgres and the telemetry
//! stores share them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalogue::labels::Disk;
use catalogue::metrics;
use nix::sys::statvfs::statvfs;
use telemetry::{ClosedSet, Telemetry};

use crate::platform::blobs::BlobStoreSettings;

/// Interval at which a disk is measured.
const INTERVAL: Duration = Duration::from_secs(15);

/// Size of a file system, and the part that is available without being root, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Room {
    size: f64,
    available: f64,
}

impl Room {
    /// Measures the file system of `path`; `None` if that fails.
    fn at(path: &Path) -> Option<Self> {
        let space = statvfs(path).ok()?;
        let bytes = |blocks| blocks as f64 * space.fragment_size() as f64;
        Some(Self { size: bytes(space.blocks()), available: bytes(space.blocks_available()) })
    }
}

type Rooms = Arc<Mutex<[Option<Room>; Disk::ALL.len()]>>;

/// Reports the disks of the log file and the blobs as long as the process lives. Data that is not on disk has
/// no series.
pub(crate) fn report(telemetry: &Telemetry, log_file: Option<&Path>, blobs: &BlobStoreSettings) {
    let mut paths = Vec::new();
    if let Some(file) = log_file {
        paths.push((Disk::Logs, directory_of(file)));
    }
    if let BlobStoreSettings::Directory(directory) = blobs {
        paths.push((Disk::Blobs, directory.clone()));
    }
    let rooms = Rooms::default();
    let known =
        move |rooms: &Rooms, disk: Disk| rooms.lock().unwrap_or_else(PoisonError::into_inner)[disk.index()];
    let seen = rooms.clone();
    telemetry.meter().observe(&metrics::DISK_SIZE, move |disk| Some(known(&seen, disk)?.size));
    let seen = rooms.clone();
    telemetry.meter().observe(&metrics::DISK_AVAILABLE, move |disk| Some(known(&seen, disk)?.available));
    for (disk, path) in paths {
        tokio::spawn(watch(disk, path, rooms.clone()));
    }
}

fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Measures one disk repeatedly. A hanging disk delays only its own measurements.
async fn watch(disk: Disk, path: PathBuf, rooms: Rooms) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let path = path.clone();
        let room = tokio::task::spawn_blocking(move || Room::at(&path)).await.ok().flatten();
        rooms.lock().unwrap_or_else(PoisonError::into_inner)[disk.index()] = room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_a_size_and_less_room() {
        let room = Room::at(Path::new("/")).expect("a size");
        assert!(room.size > 0.0 && room.available <= room.size, "{room:?}");
        assert_eq!(Room::at(Path::new("/does/not/exist")), None);
    }

    #[test]
    fn a_file_without_a_directory_is_in_the_present_one() {
        assert_eq!(directory_of(Path::new("socialize.jsonl")), Path::new("."));
        assert_eq!(directory_of(Path::new("/var/log/socialize/api.jsonl")), Path::new("/var/log/socialize"));
    }
}
