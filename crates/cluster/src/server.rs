//! The server process of a cluster.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::error::last_lines;
use super::{ClusterError, InitializedCluster};

/// Maximum duration of a start, including crash recovery; `pg_ctl` waits equally long.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Maximum duration of each way of stopping before a rougher one is used.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A server process that this crate started.
pub(super) struct Server {
    process: Pid,
    exit: Arc<Exit>,
}

/// Exit status of the process, once it has exited.
#[derive(Default)]
struct Exit {
    status: Mutex<Option<ExitStatus>>,
    happened: Condvar,
}

impl Exit {
    fn status(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub(super) fn start(cluster: &InitializedCluster, port: u16) -> Result<Self, ClusterError> {
        let log_start = fs::metadata(cluster.log_file()).map_or(0, |log| log.len());
        let server = Self::spawn(cluster, port)?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if cluster.running_server().is_some_and(|running| running.process_id == server.process_id()) {
                return Ok(server);
            }
            let ended = server.wait_for_exit(Duration::from_millis(10));
            if ended || Instant::now() >= deadline {
                let what = match *server.exit.status() {
                    Some(status) => format!("ended before it was ready ({status})"),
                    None => format!("was not ready within {} s", START_LIMIT.as_secs()),
                };
                server.stop();
                let text = read_from(cluster, log_start);
                if text.contains("Address already in use") {
                    return Err(ClusterError::PortTaken { port });
                }
                let log = cluster.log_file().to_owned();
                return Err(ClusterError::NotReady { what, log, tail: last_lines(&text, 5) });
            }
        }
    }

    /// Spawns the server. The kernel stops the server when the spawning thread ends, so that thread
    /// waits until the server is gone. It also reaps the process: a zombie would keep the next
    /// server from starting.
    fn spawn(cluster: &InitializedCluster, port: u16) -> Result<Self, ClusterError> {
        let mut command = cluster.server_command(port)?;
        let exit = Arc::new(Exit::default());
        let (spawned, result) = mpsc::sync_channel(1);
        let thread_exit = Arc::clone(&exit);
        let parent = move || match command.spawn() {
            Ok(child) => {
                let process = Pid::from_raw(child.id().cast_signed());
                let _ = spawned.send(Ok(process));
                collect(child, process, &thread_exit);
            }
            Err(error) => _ = spawned.send(Err(error)),
        };
        let failed =
            |source| ClusterError::Program { program: "setpriv".to_owned(), package: "util-linux", source };
        std::thread::Builder::new().name("postgres-parent".to_owned()).spawn(parent).map_err(failed)?;
        let process =
            result.recv().unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(failed)?;
        Ok(Self { process, exit })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.as_raw().cast_unsigned()
    }

    pub(super) fn is_running(&self) -> bool {
        self.exit.status().is_none()
    }

    /// Stops the server: first gracefully, then without waiting for its clients, then immediately.
    pub(super) fn stop(&self) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL] {
            self.signal(signal);
            if self.wait_for_exit(STOP_LIMIT) {
                return;
            }
        }
    }

    /// Stops the server immediately.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.wait_for_exit(STOP_LIMIT);
    }

    fn signal(&self, signal: Signal) {
        // While the status is locked and empty, the process has not been reaped, so its id cannot
        // have been reused.
        if self.exit.status().is_none() {
            let _ = kill(self.process, signal);
        }
    }

    fn wait_for_exit(&self, limit: Duration) -> bool {
        let status = self.exit.status();
        let waited = self.exit.happened.wait_timeout_while(status, limit, |status| status.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }
}

/// Waits until the process exits, then reaps it while nothing can signal it.
fn collect(mut child: Child, process: Pid, exit: &Exit) {
    while let Err(nix::errno::Errno::EINTR) =
        waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    {}
    let mut status = exit.status();
    *status = Some(child.wait().unwrap_or_default());
    exit.happened.notify_all();
}

/// Returns the server's log since this start.
fn read_from(cluster: &InitializedCluster, start: u64) -> String {
    let mut bytes = Vec::new();
    // The text only explains an error that is reported anyway, so ignore a log that cannot be read.
    if let Ok(mut log) = fs::File::open(cluster.log_file()) {
        let _ = log.seek(SeekFrom::Start(start)).and_then(|_| log.take(1 << 20).read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
