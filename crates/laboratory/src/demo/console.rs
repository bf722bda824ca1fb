//! The console as a process beside the demo, so that it survives what it watches.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use url::Url;

use crate::settings::ConsoleOfDemo;

/// Time within which the console prints its link.
/// It includes the end of a console whose demo was killed.
const START: Duration = Duration::from_secs(20);
/// Time within which the console writes what it holds and ends.
const END: Duration = Duration::from_secs(3);
/// Beginning of the line with the URL of the OTLP receiver, which is printed first.
const RECEIVER: &str = "console: receives OTLP at ";
/// Beginning of the line with the link.
const LINK: &str = "console: ";

/// A console that ends with the demo, however the demo ends.
pub(super) struct ConsoleProcess {
    child: Child,
    /// URL to which the server sends its telemetry.
    pub(super) receiver: Url,
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
            // Another program may have the port of OTLP, so the kernel chooses one.
            .args(["--otlp-address", "127.0.0.1:0"])
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
        let urls = timeout(START, urls(&mut lines)).await.context("the console did not start in time")?;
        let (receiver, link) = urls?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, receiver, link })
    }

    /// Lets the console end in good order.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        // Otherwise it is killed when it is dropped, and reads at its next start what it had written.
        let _ = timeout(END, self.child.wait()).await;
    }
}

/// Reads the URLs of the receiver and of the pages. If they are not printed, what is printed says why.
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
