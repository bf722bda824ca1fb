//! Stop requests: the first one shuts down gracefully, the second one exits at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Base of the exit code of a process that a signal ended, as shells report it.
const EXIT_BY_SIGNAL: i32 = 128;

#[derive(Clone)]
pub struct Interrupts {
    told: watch::Sender<Told>,
}

#[derive(Clone, Copy)]
struct Told {
    count: u32,
    last: SignalKind,
}

impl Interrupts {
    /// Handles the signals of a process in a terminal: Ctrl-C, SIGTERM, and SIGHUP.
    ///
    /// # Errors
    /// Returns an error if a signal handler cannot be installed.
    pub fn of_a_terminal() -> io::Result<Self> {
        Self::listen(&[SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()])
    }

    /// Handles the signals of a process under a service manager: SIGTERM, Ctrl-C, and SIGQUIT. SIGUSR1 and
    /// SIGUSR2 are ignored from now on.
    ///
    /// # Errors
    /// Returns an error if a signal handler cannot be installed.
    pub fn of_a_service() -> io::Result<Self> {
        // Installing a handler once replaces the default action, which would end the process.
        let _ = signal(SignalKind::user_defined1())?;
        let _ = signal(SignalKind::user_defined2())?;
        Self::listen(&[SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()])
    }

    fn listen(kinds: &[SignalKind]) -> io::Result<Self> {
        let interrupts = Self { told: watch::Sender::new(Told { count: 0, last: SignalKind::interrupt() }) };
        for kind in kinds {
            let (kind, mut signals, interrupts) = (*kind, signal(*kind)?, interrupts.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    // A terminal that closes sends several signals.
                    if kind == SignalKind::hangup() { interrupts.hang_up() } else { interrupts.tell(kind) }
                }
            });
        }
        Ok(interrupts)
    }

    /// Acts like a signal, for a terminal in raw mode that delivers Ctrl-C as a key.
    pub fn interrupt(&self) {
        self.tell(SignalKind::interrupt());
    }

    /// Handles the end of the terminal: it starts a graceful shutdown, but never an immediate exit.
    pub fn hang_up(&self) {
        self.told.send_modify(|told| told.count = told.count.max(1));
    }

    fn tell(&self, last: SignalKind) {
        self.told.send_modify(|told| *told = Told { count: told.count + 1, last });
    }

    /// Waits for the first stop request.
    pub async fn first(&self) {
        self.reached(1).await;
    }

    /// Waits for the second stop request. Returns the exit code of a process that the signal kills.
    pub async fn second(&self) -> u8 {
        let signal = self.reached(2).await;
        u8::try_from(EXIT_BY_SIGNAL + signal.as_raw_value()).unwrap_or(u8::MAX)
    }

    async fn reached(&self, wanted: u32) -> SignalKind {
        let mut told = self.told.subscribe();
        // The sender lives as long as `self`, so only the condition can end this wait.
        let reached = told.wait_for(|told| told.count >= wanted).await.map(|told| told.last);
        reached.unwrap_or(SignalKind::interrupt())
    }
}

/// Handles SIGHUP from now on, which no longer ends the process.
///
/// # Errors
/// Returns an error if the signal handler cannot be installed.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
