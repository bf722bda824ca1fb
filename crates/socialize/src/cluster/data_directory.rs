//! Who uses a data directory: the lock of our own processes, and the server that runs on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ClusterError;

/// How long a server may take to notice that the process that owned it has died. One that still announces that it is
/// ready after that belongs to somebody.
const NOTICE: Duration = Duration::from_secs(2);
/// How long a server may take to go after the process that owned it has died.
const FAREWELL: Duration = Duration::from_secs(30);

/// The claim of this process on a data directory. The kernel gives it up when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Claims the directory, creating it when missing, or says who holds it.
    pub(super) fn acquire(data_directory: &Path) -> Result<Self, ClusterError> {
        create_private(data_directory)?;
        let path = data_directory.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(ClusterError::file("open", &path))?;
        match file.try_lock() {
            Ok(()) => {
                let note = format!("process {} ({})", std::process::id(), command_line());
                file.set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| file.write_all(note.as_bytes()))
                    .map_err(ClusterError::file("write", &path))?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The note is for people. One that cannot be read must not hide that the directory is taken.
                let _ = file.read_to_string(&mut holder);
                if holder.is_empty() {
                    holder.push_str("another process");
                }
                Err(ClusterError::InUse { path: data_directory.to_owned(), holder })
            }
            Err(TryLockError::Error(error)) => Err(ClusterError::file("lock", &path)(error)),
        }
    }
}

/// Creates a directory, and those above it, that only this user may enter.
pub(super) fn create_private(directory: &Path) -> Result<(), ClusterError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(ClusterError::file("create", directory))
}

/// The program and its subcommand. What follows may hold secrets, and is not needed to recognise the process.
fn command_line() -> String {
    let mut arguments = std::env::args().take(2);
    let program = arguments.next().unwrap_or_default();
    match arguments.next() {
        Some(subcommand) if !subcommand.starts_with('-') => format!("{program} {subcommand}"),
        _ => program,
    }
}

/// A server that is ready for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// Its main process.
    pub process_id: u32,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// What `postmaster.pid` says, which is not proof that the process lives.
struct Announcement {
    process_id: u32,
    port: Option<u16>,
    is_ready: bool,
}

impl Announcement {
    /// The line numbers are those of Postgres' `utils/pidfile.h`, unchanged since version 10.
    fn read(cluster: &Path) -> Option<Self> {
        let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            process_id: lines.first()?.parse().ok()?,
            port: lines.get(3).and_then(|port| port.parse().ok()),
            is_ready: lines.get(7) == Some(&"ready"),
        })
    }
}

/// The server that runs on a cluster, once it accepts connections.
pub(super) fn running_server(cluster: &Path) -> Option<RunningServer> {
    let announcement = Announcement::read(cluster).filter(|announcement| announcement.is_ready)?;
    let cluster = cluster.canonicalize().ok()?;
    is_server_process(announcement.process_id, &cluster)
        .then_some(RunningServer { process_id: announcement.process_id, port: announcement.port? })
}

/// Waits until every process of an earlier server is gone, then removes what it left.
///
/// A server that died with the machine, or whose dead process nobody has collected, leaves a `postmaster.pid` that names
/// a process. Postgres refuses to start as long as a process with that number exists, be it a zombie or a stranger that
/// got the number. It must not be removed while any process of the old server still writes, though, so those are
/// recognised by their working directory, which Postgres sets to the cluster.
pub(super) fn clear_leftovers(cluster: &Path) -> Result<(), ClusterError> {
    let start = Instant::now();
    while let Some(&process_id) = processes_of(cluster).first() {
        let patience = if running_server(cluster).is_some() { NOTICE } else { FAREWELL };
        if start.elapsed() >= patience {
            return Err(ClusterError::ForeignServer { path: cluster.to_owned(), process_id });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let announcement = cluster.join("postmaster.pid");
    match fs::remove_file(&announcement) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ClusterError::file("remove", announcement)(error))
        }
        _ => Ok(()),
    }
}

/// The living Postgres processes of a cluster.
fn processes_of(cluster: &Path) -> Vec<u32> {
    let Ok(cluster) = cluster.canonicalize() else { return Vec::new() };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&process_id| is_server_process(process_id, &cluster))
        .collect()
}

/// Whether a process belongs to the server of a cluster. A zombie has no working directory, so it does not count.
fn is_server_process(process_id: u32, cluster: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{process_id}"));
    fs::read_link(process.join("cwd")).is_ok_and(|directory| directory == cluster)
        && fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres")
}
