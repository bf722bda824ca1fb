//! Ownership of a data directory: the lock of Socialize's processes, and the server that runs on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ClusterError;

/// Maximum time until a server should notice the death of its owner. If it still announces readiness after
/// that, another process owns it.
const NOTICE: Duration = Duration::from_secs(5);
/// Maximum time until a server should exit after the death of its owner.
const FAREWELL: Duration = Duration::from_secs(30);

/// This process's lock on a data directory. The kernel releases it when the process dies, for
/// whatever reason.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Locks the directory, creating it if necessary. The error names the process that holds it.
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
                // The note is only information. If it cannot be read, still report that the
                // directory is in use.
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

/// Creates a directory, and its parents, with access for this user only.
pub(super) fn create_private(directory: &Path) -> Result<(), ClusterError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(ClusterError::file("create", directory))
}

/// Returns the program and its subcommand. The remaining arguments may contain secrets and are not
/// needed to recognise the process.
fn command_line() -> String {
    let mut arguments = std::env::args().take(2);
    let program = arguments.next().unwrap_or_default();
    match arguments.next() {
        Some(subcommand) if !subcommand.starts_with('-') => format!("{program} {subcommand}"),
        _ => program,
    }
}

/// A server that accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// Id of its main process.
    pub process_id: u32,
    /// Its loopback port.
    pub port: u16,
}

/// The contents of `postmaster.pid`, which does not prove that the process is alive.
struct Announcement {
    process_id: u32,
    port: Option<u16>,
    is_ready: bool,
}

impl Announcement {
    /// Parses the file. Line numbers are those of Postgres's `utils/pidfile.h`, unchanged since
    /// version 10.
    fn read(data_directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(announcement_file(data_directory)).ok()?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            process_id: lines.first()?.parse().ok()?,
            port: lines.get(3).and_then(|port| port.parse().ok()),
            is_ready: lines.get(7) == Some(&"ready"),
        })
    }
}

/// Returns the directory that belongs to Postgres.
pub(super) fn cluster_directory(data_directory: &Path) -> PathBuf {
    data_directory.join("postgres")
}

/// Returns the file on which every process of a server holds a shared lock during its whole life.
pub(super) fn server_lock_file(data_directory: &Path) -> PathBuf {
    data_directory.join("server.lock")
}

fn announcement_file(data_directory: &Path) -> PathBuf {
    cluster_directory(data_directory).join("postmaster.pid")
}

/// Returns the server that runs on a data directory, once it accepts connections.
pub(super) fn running_server(data_directory: &Path) -> Option<RunningServer> {
    let announcement = Announcement::read(data_directory).filter(|announcement| announcement.is_ready)?;
    let process = Process::find(announcement.process_id)?;
    let is_ours = process.is_alive && server_lock_is_held(data_directory).is_ok_and(|held| held);
    let port = announcement.port.filter(|_| is_ours)?;
    Some(RunningServer { process_id: announcement.process_id, port })
}

/// Waits until every process of an earlier server is gone, then removes the file that would keep
/// the next one from starting.
///
/// A server that died with the machine, or whose dead process has not been reaped, leaves a
/// `postmaster.pid`. Postgres refuses to start while a process with that id exists, even if it is a
/// zombie or an unrelated process that reused the id. If no such process exists, the file stays,
/// because Postgres's own checks rely on it.
pub(super) fn clear_leftovers(data_directory: &Path) -> Result<(), ClusterError> {
    let start = Instant::now();
    while server_lock_is_held(data_directory)? {
        let patience = if running_server(data_directory).is_some() { NOTICE } else { FAREWELL };
        if start.elapsed() >= patience {
            return Err(still_running(data_directory));
        }
        std::thread::sleep(Duration::from_millis(20));
    }

    let Some(announcement) = Announcement::read(data_directory) else { return Ok(()) };
    let Some(process) = Process::find(announcement.process_id) else { return Ok(()) };
    // An operator may have started a server on this data by hand, without the lock.
    if process.is_alive && process.may_be_server_of(&cluster_directory(data_directory)) {
        return Err(still_running(data_directory));
    }
    let file = announcement_file(data_directory);
    fs::remove_file(&file).map_err(ClusterError::file("remove", &file))
}

fn still_running(data_directory: &Path) -> ClusterError {
    match Announcement::read(data_directory) {
        Some(Announcement { process_id, .. }) => {
            ClusterError::ForeignServer { path: data_directory.to_owned(), process_id }
        }
        None => ClusterError::Lingering { lock: server_lock_file(data_directory) },
    }
}

/// Returns whether any process of a server is left. The kernel releases a lock when the last
/// process that holds it exits.
fn server_lock_is_held(data_directory: &Path) -> Result<bool, ClusterError> {
    let path = server_lock_file(data_directory);
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(ClusterError::file("open", &path))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(ClusterError::file("lock", path)(error)),
    }
}

/// A process of this machine, as far as it is publicly visible.
struct Process {
    directory: PathBuf,
    /// False for a zombie, which has exited and waits for its parent to reap it.
    is_alive: bool,
}

impl Process {
    fn find(process_id: u32) -> Option<Self> {
        let directory = PathBuf::from(format!("/proc/{process_id}"));
        let stat = fs::read_to_string(directory.join("stat")).ok()?;
        // The state follows the name, which is in parentheses and may contain any character.
        let state = stat.rsplit(')').next()?.trim_start().chars().next()?;
        Some(Self { directory, is_alive: !matches!(state, 'Z' | 'X') })
    }

    /// Returns whether the process's working directory is the cluster, as a server's is. Without
    /// permission to see it, any Postgres might be the server.
    fn may_be_server_of(&self, cluster: &Path) -> bool {
        let is_postgres =
            fs::read_to_string(self.directory.join("comm")).is_ok_and(|name| name.trim() == "postgres");
        let works_elsewhere =
            fs::read_link(self.directory.join("cwd")).is_ok_and(|directory| directory != cluster);
        is_postgres && !works_elsewhere
    }
}
