//! The console as a process beside the demo, so that it survives what it watches.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::settings::ConsoleOfDemo;

/// Time within which the console prints its link.
const START: Duration = Duration::from_secs(10);
/// Time within which the console writes what it holds and ends.
const END: Duration = Duration::from_secs(3);
/// Beginning of the line with the link.
const LINK: &str = "console: ";

/// A console that ends with the demo, however the demo ends.
pub(super) struct ConsoleProcess {
    child: Child,
    /// URL that opens the console, with its token.
    pub(super) link: String,
}

impl ConsoleProcess {
    /// Starts the console and returns when it listens.
    ///
    /// # Errors
    /// If it does not start. The message contains its own.
    pub(super) async fn start(settings: &ConsoleOfDemo) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let mut child = Command::new(program)
            .arg("console")
            .args(["--address", &settings.address.to_string()])
            .args(["--otlp-address", &settings.otlp_address.to_string()])
            .arg("--data")
            .arg(&settings.data)
            .arg("--logs")
            .arg(&settings.logs)
            // It ends when this pipe closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo only, which needs the console until its telemetry is sent.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("the console cannot be started")?;
        let stderr = child.stderr.take().context("the console has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let link = timeout(START, link(&mut lines)).await.context("the console did not start in time")??;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, link })
    }

    /// Lets the console end in good order.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        // Otherwise it is killed when it is dropped, and reads at its next start what it had written.
        let _ = timeout(END, self.child.wait()).await;
    }
}

/// Reads until the link is printed. What is printed before says why there is none.
async fn link(lines: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<String> {
    let mut printed = Vec::new();
    while let Some(line) = lines.next_line().await? {
        match line.strip_prefix(LINK) {
            Some(link) if link.starts_with("http") => return Ok(link.to_owned()),
            _ => printed.push(line),
        }
    }
    bail!("the console ended: {}. --console-listen none starts the demo without it", printed.join(" "))
}
