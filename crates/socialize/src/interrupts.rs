//! Being told to stop: once to end in good order, twice to end at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Base of the exit code of a process that a signal ended, as shells report it.
const EXIT_BY_SIGNAL: i32 = 128;

/// Counter of requests to stop this process.
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
    /// Listens for a process that a person runs in a terminal: Ctrl-C, SIGTERM, and the end of the terminal.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn of_a_terminal() -> io::Result<Self> {
        Self::listen(&[SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()])
    }

    /// Listens for a process that a service manager runs: SIGTERM, Ctrl-C, and SIGQUIT. SIGUSR1 and SIGUSR2 have no effect from now on.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn of_a_service() -> io::Result<Self> {
        // Whoever listens once has taken the place of what would end the process.
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
                    // A terminal that goes away says so in several ways.
                    if kind == SignalKind::hangup() { interrupts.hang_up() } else { interrupts.tell(kind) }
                }
            });
        }
        Ok(interrupts)
    }

    /// What a signal does, for a terminal that hands over Ctrl-C as a key.
    pub fn interrupt(&self) {
        self.tell(SignalKind::interrupt());
    }

    /// Handles the end of the terminal: it is a reason to stop, and never one to hurry.
    pub fn hang_up(&self) {
        self.told.send_modify(|told| told.count = told.count.max(1));
    }

    fn tell(&self, last: SignalKind) {
        self.told.send_modify(|told| *told = Told { count: told.count + 1, last });
    }

    /// Waits until it is told to stop.
    pub async fn first(&self) {
        self.reached(1).await;
    }

    /// Waits until it is told so again. Returns the exit code of a process that the signal ends at once.
    pub async fn second(&self) -> u8 {
        let signal = self.reached(2).await;
        u8::try_from(EXIT_BY_SIGNAL + signal.as_raw_value()).unwrap_or(u8::MAX)
    }

    async fn reached(&self, wanted: u32) -> SignalKind {
        let mut told = self.told.subscribe();
        // The sender lives as long as `self`, so this can only end by the condition.
        let reached = told.wait_for(|told| told.count >= wanted).await.map(|told| told.last);
        reached.unwrap_or(SignalKind::interrupt())
    }
}

/// Receives SIGHUP from now on, which no longer ends the process.
///
/// # Errors
/// When the system does not let us.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
