//! Prints the steps of the demo and their durations.

use std::io::{self, Write};
use std::time::Instant;

/// Writes one line per step to standard output.
pub(super) struct Steps;

impl Steps {
    /// Runs a step. `detail` describes its result.
    pub(super) async fn take<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
        detail: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<T> {
        write(&format!("{what}… "));
        let started = Instant::now();
        let result = work.await;
        let seconds = started.elapsed().as_secs_f64();
        match &result {
            Ok(value) => write(&format!("{seconds:.1} s{}\n", detail(value))),
            Err(_) => write(&format!("failed after {seconds:.1} s\n")),
        }
        result
    }

    pub(super) fn say(&self, text: &str) {
        write(&format!("{text}\n"));
    }
}

/// If standard output is closed, the demo goes on silently.
fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
