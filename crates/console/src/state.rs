//! What all handlers share: the stores, the clock and the limits.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Semaphore;

use crate::access::Access;

/// Maximum number of pages that are rendered at once. Others wait.
const RENDERINGS: usize = 3;

/// The console, shared by all handlers and loops.
pub type SharedConsole = Arc<Console>;

/// Returns the time as a Unix time in milliseconds. Tests pass a fixed one.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Facts that the pages show and that never change while the console runs.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Address that applications report to.
    pub otlp_address: String,
    /// Patterns of the log files.
    pub logs: Vec<String>,
    /// Alertmanager that notifies, if there is one.
    pub alertmanager: Option<String>,
    /// Environment to show first.
    pub environment: Option<String>,
    /// Start of the console, in Unix milliseconds.
    pub started_at: i64,
}

/// State of the console.
pub struct Console {
    access: Access,
    facts: Facts,
    clock: Clock,
    renderings: Semaphore,
}

impl Console {
    /// Creates the state.
    pub fn new(access: Access, facts: Facts, clock: Clock) -> Self {
        Self { access, facts, clock, renderings: Semaphore::new(RENDERINGS) }
    }

    /// Returns who may see the pages.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns what never changes.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns the time as a Unix time in milliseconds.
    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Returns the permits of concurrent renderings.
    pub fn renderings(&self) -> &Semaphore {
        &self.renderings
    }
}

/// Reads a store. A panic of another thread does not make the store unreadable: stores are changed by
/// complete steps.
pub fn read<T>(store: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    store.read().unwrap_or_else(PoisonError::into_inner)
}

/// Changes a store.
pub fn write<T>(store: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    store.write().unwrap_or_else(PoisonError::into_inner)
}
