//! Check of the free space on the disks that Socialize writes to.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::platform::blobs::BlobStoreSettings;
use crate::platform::finding::Finding;
use crate::platform::mail::MailTransport;
use crate::run::config::Settings;

const DISK: &str = "disk";
/// Free space below which the disk will fill up in the foreseeable future.
const LITTLE: u64 = 1 << 30;
/// Free space below which lines and e-mails will soon be lost.
const TOO_LITTLE: u64 = 100 << 20;

/// Checks every directory to which Socialize writes.
pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let directories = directories(settings);
    if directories.is_empty() {
        return vec![Finding::skipped(DISK, "nothing is written to a disk of this machine")];
    }
    let look = || directories.iter().map(|(setting, path)| look_at(setting, path)).collect();
    tokio::task::block_in_place(look)
}

fn directories(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let mut directories = Vec::new();
    if let Some(file) = &settings.log.file {
        let parent = file.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        directories.push(("SOCIALIZE_LOG_FILE", parent.unwrap_or(Path::new(".")).to_owned()));
    }
    if let MailTransport::Directory(path) = &settings.mail.transport {
        directories.push(("SOCIALIZE_MAIL_DIRECTORY", path.clone()));
    }
    if let BlobStoreSettings::Directory(path) = &settings.blobs.store {
        directories.push(("SOCIALIZE_BLOBS_DIRECTORY", path.clone()));
    }
    directories
}

fn look_at(setting: &str, path: &Path) -> Finding {
    // Socialize creates missing directories, so check the disk on which they would be.
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."));
    let shown = path.display();
    let free = match statvfs(existing) {
        Ok(disk) => disk.blocks_available().saturating_mul(disk.fragment_size()),
        Err(error) => {
            let detail = format!("{shown}: {}", error.desc());
            return Finding::failed(DISK, detail, format!("name another directory in {setting}"));
        }
    };
    if let Err(error) = tempfile_in(existing) {
        let detail = format!("{shown}: {error}");
        return Finding::failed(
            DISK,
            detail,
            format!("let Socialize write there, or name another directory in {setting}"),
        );
    }
    let detail = format!("{shown}: {} MiB free", free >> 20);
    let remedy = format!("make room, or name a directory on another disk in {setting}");
    match free {
        0..TOO_LITTLE => Finding::failed(DISK, detail, remedy),
        TOO_LITTLE..LITTLE => Finding::warning(DISK, detail, remedy),
        _ => Finding::ok(DISK, detail),
    }
}

/// Checks that a file can be written; the file is removed immediately.
fn tempfile_in(directory: &Path) -> Result<(), std::io::ErrorKind> {
    let probe = directory.join(format!(".socialize-doctor-{}", uuid::Uuid::new_v4()));
    let written = std::fs::write(&probe, b"written by socialize doctor");
    let removed = std::fs::remove_file(&probe);
    written.and(removed).map_err(|error| error.kind())
}
