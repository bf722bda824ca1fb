//! The console as a separate process, so that it outlives the server that it watches.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use url::Url;

use crate::settings::ConsoleOfDemo;

/// Maximum time until the console prints its link. It includes the wait for a console of a killed demo to
/// exit.
const START: Duration = Duration::from_secs(20);
/// Maximum time until the console has written its data and exited.
const END: Duration = Duration::from_secs(3);
/// Start of the line with the URL of the OTLP receiver, which is printed first.
const RECEIVER: &str = "console: receives OTLP at ";
/// Start of the line with the link.
const LINK: &str = "console: ";

/// A console that ends with the demo, even if the demo is killed.
pub(super) struct ConsoleProcess {
    child: Child,
    /// URL to which the server sends its telemetry.
    pub(super) receiver: Url,
    /// URL that opens the console, with its token.
    pub(super) link: String,
}

impl ConsoleProcess {
    /// Starts the console and waits until it listens.
    ///
    /// # Errors
    /// Fails if it does not start. The message includes the console's.
    pub(super) async fn start(settings: &ConsoleOfDemo) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let mut child = Command::new(program)
            .arg("console")
            .args(["--address", &settings.address.to_string()])
            // Another program may have the port of OTLP, so the kernel chooses one.
            .args(["--otlp-address", "127.0.0.1:0"])
            .arg("--data")
            .arg(&settings.data)
            .arg("--logs")
            .arg(&settings.logs)
            // The console ends when this pipe closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A process group of its own, because Ctrl-C is for the demo only, which needs the console until
            // its telemetry is sent.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("the console cannot be started")?;
        let stderr = child.stderr.take().context("the console has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let urls = timeout(START, urls(&mut lines)).await.context("the console did not start in time")?;
        let (receiver, link) = urls?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, receiver, link })
    }

    /// Shuts the console down gracefully.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        // Otherwise dropping it kills the console, which loses only data that it has not written yet.
        let _ = timeout(END, self.child.wait()).await;
    }
}

/// Reads the URLs of the receiver and of the pages. If they are not printed, returns the output, which says
/// why.
async fn urls(lines: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<(Url, String)> {
    let mut receiver = None;
    let mut printed = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix(RECEIVER) {
            receiver = Some(url.parse()?);
        } else if let (Some(link), Some(receiver)) = (line.strip_prefix(LINK), receiver.take()) {
            return Ok((receiver, link.to_owned()));
        } else {
            printed.push(line);
        }
    }
    bail!("the console ended: {}. --console-listen none starts the demo without it", printed.join(" "))
}
