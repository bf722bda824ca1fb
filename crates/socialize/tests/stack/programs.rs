//! Programs of the stack as processes, each with a log file of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;

/// Timeout for the slowest machine; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Number of log lines shown for a failed program.
const LAST_LINES: usize = 30;

/// Waits until `condition` succeeds, and panics with its last error on timeout.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(reason) => assert!(Instant::now() < deadline, "{what} never happened: {reason}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A running program. It is killed when dropped.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it, with its output in a file of the directory.
    pub(crate) fn start(name: &'static str, mut command: Command, logs: &Path) -> Self {
        let log = logs.join(format!("{name}.log"));
        // A restarted program appends to the same file.
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        command.stdin(Stdio::null());
        command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        let child = command.spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().to_string_lossy()));
        Self { name, child, log }
    }

    /// Waits until the URL responds with success.
    pub(crate) async fn ready(&mut self, client: &Client, url: &str) {
        let what = format!("that {} answers {url}", self.name);
        eventually(&what, async || {
            self.assert_running();
            let answer = client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            if status.is_success() { Ok(()) } else { Err(format!("{status}\n{}", self.last_lines())) }
        })
        .await;
    }

    /// Panics with the last lines of its log if it has exited.
    pub(crate) fn assert_running(&mut self) {
        let status = self.child.try_wait().expect("the process is a child of this one");
        assert!(status.is_none(), "{} ended ({status:?}):\n{}", self.name, self.last_lines());
    }

    /// Waits for its exit, which must be successful.
    pub(crate) fn finish(mut self) {
        let status = self.child.wait().expect("the process is a child of this one");
        assert!(status.success(), "{} failed ({status}):\n{}", self.name, self.last_lines());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().cast_signed();
        kill(Pid::from_raw(id), signal).expect("a child of this process can be signalled");
    }

    /// Sends SIGTERM, like Docker, and waits until it has exited.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.child.wait().expect("the process is a child of this one");
    }

    /// Sends SIGTERM, and kills it after the grace period, like Docker.
    pub(crate) async fn stop_within(&mut self, grace: Duration) {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + grace;
        while self.child.try_wait().expect("the process is a child of this one").is_none() {
            if Instant::now() >= deadline {
                return self.kill();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills it, like a power failure.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("the process is a child of this one");
    }

    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("its log file");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// Current memory, and processor time used.
    pub(crate) fn usage(&self) -> Usage {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("a living process")
        };
        let status = read("status");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kibibytes: u64 = memory.trim().trim_end_matches(" kB").parse().expect("a number");
        // The name of the program, in parentheses, may contain any character.
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        // The unit of these numbers has been a hundredth of a second on every platform for decades.
        Usage { bytes: kibibytes << 10, cpu: Duration::from_millis(ticks * 10) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After a failure it has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resource use of a program.
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) cpu: Duration,
}
