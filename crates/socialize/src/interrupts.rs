//! Being told to stop: once to end in good order, twice to end at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often this process was told to stop, by Ctrl-C, SIGTERM or the end of its terminal.
#[derive(Clone)]
pub struct Interrupts {
    count: watch::Sender<u32>,
}

impl Interrupts {
    /// Listens from now on, which keeps the signals from ending the process.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn listen() -> io::Result<Self> {
        let interrupts = Self { count: watch::Sender::new(0) };
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let mut signals = signal(kind)?;
            let interrupts = interrupts.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    interrupts.interrupt();
                }
            });
        }
        Ok(interrupts)
    }

    /// What a signal does, for a terminal that hands over Ctrl-C as a key.
    pub fn interrupt(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Waits until it is told to stop.
    pub async fn first(&self) {
        self.reached(1).await;
    }

    /// Waits until it is told so again.
    pub async fn second(&self) {
        self.reached(2).await;
    }

    async fn reached(&self, wanted: u32) {
        // The sender lives as long as `self`, so this can only end by the condition.
        let _ = self.count.subscribe().wait_for(|count| *count >= wanted).await;
    }
}
